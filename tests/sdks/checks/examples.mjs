// The examples, as they are in `examples/`.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { api, file, newStore, python, record, run, token, url } from '../world.mjs';

const LANGUAGES = {
    javascript: ['node', (name) => file(`./javascript/${name}.mjs`)],
    python: [python, (name) => file(`./python/${name}.py`)],
};

async function actor(relay, [program, path]) {
    const store = await newStore();
    await api('PUT', `/${store}/records/INPUT`, JSON.stringify({ words: ['salt', 'flour', 'salt'] }), {
        'Content-Type': 'application/json',
    });
    await run(program, [path('actor')], relay.home(store));
    assert.deepEqual(JSON.parse(await record(store, 'OUTPUT')), { words: 3, counts: { salt: 2, flour: 1 } });
}

async function screenshots(_, [program, path]) {
    const folder = await mkdtemp(join(tmpdir(), 'larder-pictures-'));
    try {
        // Any bytes will do, but those of a real format may not be valid text.
        const pictures = [Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255, 254, 13, 10]), Buffer.alloc(100_000, 0xfe)];
        const files = [join(folder, 'small.png'), join(folder, 'large.jpg')];
        await Promise.all(files.map((name, at) => writeFile(name, pictures[at])));
        const out = await run(program, [path('screenshots'), ...files], { LARDER_URL: url, LARDER_TOKEN: token });
        const links = out.trim().split('\n');
        assert.equal(links.length, 2, out);
        for (const [at, link] of links.entries()) {
            // Without a token: the link alone is what opens it.
            const answer = await fetch(link);
            assert.equal(answer.status, 200, link);
            assert.equal(answer.headers.get('content-type'), ['image/png', 'image/jpeg'][at]);
            assert.deepEqual(Buffer.from(await answer.arrayBuffer()), pictures[at]);
            assert.equal((await fetch(link.replace(/signature=./, 'signature=!'))).status, 403);
        }
    } finally {
        await rm(folder, { recursive: true });
    }
}

export const examples = Object.fromEntries(
    Object.entries(LANGUAGES).flatMap(([language, it]) => [
        [`the ${language} actor reads INPUT and writes OUTPUT`, (relay) => actor(relay, it)],
        [`the ${language} screenshots open by their links`, (relay) => screenshots(relay, it)],
    ]),
);
