// A Larder that fails, or is gone for a while: the SDKs try again until it is back.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { file, larder, newStore, python, record, run, start, token } from '../world.mjs';

const SDKS = { javascript: ['node', file('./javascript/sdk.mjs')], python: [python, file('./programs/sdk.py')] };

export async function freePort() {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
}

/** Starts a Larder of the check's own. */
export async function serve(port, data, more = {}) {
    const served = start(larder, ['serve'], {
        LARDER_LISTEN: `127.0.0.1:${port}`,
        LARDER_TOKEN: token,
        LARDER_DATA: data,
        ...more,
    });
    while (!served.out.includes('http://')) {
        assert.equal(served.child.exitCode, null, served.all);
        await sleep(20);
    }
    return served;
}

export async function kill(served) {
    served.child.kill('SIGKILL');
    await served.ended;
}

/** Larder is killed before the program's first write and started again while the program tries. */
async function outlasted([program, path]) {
    const [data, port] = [await mkdtemp(join(tmpdir(), 'larder-restarted-')), await freePort()];
    const origin = `http://127.0.0.1:${port}`;
    let served = await serve(port, data);
    try {
        const headers = { Authorization: `Bearer ${token}` };
        const made = await fetch(`${origin}/v2/key-value-stores`, { method: 'POST', headers });
        const store = (await made.json()).data.id;
        await kill(served);
        const environment = {
            APIFY_IS_AT_HOME: '1',
            APIFY_TOKEN: token,
            APIFY_API_BASE_URL: origin,
            APIFY_API_PUBLIC_BASE_URL: origin,
            ACTOR_DEFAULT_KEY_VALUE_STORE_ID: store,
            APIFY_ACTOR_PRICING_INFO: '{"pricingModel":"FREE"}',
            APIFY_CHARGED_ACTOR_EVENT_COUNTS: '{"none":0}',
        };
        const running = run(program, [path, 'write'], environment);
        await sleep(1_500);
        served = await serve(port, data);
        await running;
        const kept = await fetch(`${origin}/v2/key-value-stores/${store}/records/patient`, { headers });
        assert.deepEqual(await kept.json(), { waited: true });
    } finally {
        await kill(served);
        await rm(data, { recursive: true });
    }
}

/** The first tries to write are answered with what a client repeats. */
async function repeated(relay, [program, path]) {
    const store = await newStore();
    relay.faults = [503, 429, 'cut'];
    relay.fails = ({ method }) => method === 'PUT';
    await run(program, [path, 'write'], relay.home(store));
    const writes = relay.take().filter(({ method, path: target }) => method === 'PUT' && target.includes('patient'));
    assert.deepEqual(writes.map(({ status }) => status), [503, 429, 'cut', 201]);
    assert.deepEqual(JSON.parse(await record(store, 'patient')), { waited: true });
}

export const restarts = Object.fromEntries(
    Object.entries(SDKS).flatMap(([language, sdk]) => [
        [`case_210 the ${language} sdk repeats a write that failed`, (relay) => repeated(relay, sdk)],
        [`case_210 the ${language} sdk outlasts a restart`, () => outlasted(sdk)],
    ]),
);
