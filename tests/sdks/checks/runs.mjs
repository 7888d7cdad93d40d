// Actors under `larder run`, of three generations: with a run, a store and a token of their own, and nothing else in the world.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { file, larder, newName, python, record, start, token, url } from '../world.mjs';
import { JPEG, STORES, isAbsentOrProbe } from './sdks.mjs';

const ACTORS = {
    'Apify.main of apify 2': ['node', file('./older/sdk-2/program.cjs')],
    'Actor of apify 3': ['node', file('./javascript/sdk.mjs')],
    'Actor in python': [python, file('./programs/sdk.py')],
};

/** An answer of the API's that must be a good one. */
async function asked(path) {
    const answer = await fetch(url + path, { headers: { Authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200, path);
    return (await answer.json()).data;
}

/** The actor's name, what it was given, and the ways of its run; `larder run` is at Larder through the relay. */
async function ran(relay, command, { input = { flour: 500 }, expects = 0 } = {}) {
    const folder = await mkdtemp(join(tmpdir(), 'larder-running-'));
    try {
        const actor = newName();
        await writeFile(join(folder, 'input.json'), JSON.stringify(input));
        const output = join(folder, 'output');
        const args = ['run', '--actor', actor, '--open-stores', '--input', join(folder, 'input.json'), '--output', output];
        const started = start(larder, [...args, '--', ...command], { LARDER_URL: relay.url, LARDER_TOKEN: token });
        const { code, signal } = await started.ended;
        assert.equal(code, expects, `${command} ended with ${code ?? signal}:\n${started.all}`);
        const last = await asked(`/v2/acts/${actor}/runs/last`);
        return { run: last, output: await readFile(output).catch(() => undefined), calls: relay.take() };
    } finally {
        await rm(folder, { recursive: true });
    }
}

/** Nothing was asked for that Larder has not, and nothing refused but names that were tried as ids, and absent records. */
function nothingRefused(calls) {
    for (const call of calls) {
        const shown = `${call.method} ${call.path}: ${call.status}`;
        assert.match(call.path, /^\/(v2\/(key-value-stores|actor-runs|acts|users\/me)|larder\/v1\/runs)\b/, shown);
        assert.ok(call.status < 400 || isAbsentOrProbe(call), shown);
    }
    assert.ok(calls.some(({ path }) => path.startsWith(STORES)));
}

const everything = ([program, path]) => async (relay) => {
    const name = newName();
    const { run, output, calls } = await ran(relay, [program, path, 'everything', name]);
    nothingRefused(calls);
    assert.equal(run.status, 'SUCCEEDED');
    assert.deepEqual(output, JPEG);
    assert.deepEqual(await record(run.defaultKeyValueStoreId, 'OUTPUT'), JPEG);
    assert.ok((await asked(`/v2/key-value-stores/~${name}/keys`)).count > 0);
};

/** The program says how it goes, becomes itself with another input, and fails. */
const told = (program, path) => async (relay) => {
    const { run, output, calls } = await ran(relay, [program, path, 'become'], { expects: 7 });
    nothingRefused(calls);
    assert.deepEqual([run.status, run.exitCode, run.statusMessage], ['FAILED', 7, 'burnt']);
    assert.equal(run.metamorphs.length, 1);
    assert.deepEqual(JSON.parse(output), { was: 500, is: 1 });
};

export const runs = {
    ...Object.fromEntries(
        Object.entries(ACTORS).map(([name, actor]) => [`${name} runs under larder run`, everything(actor)]),
    ),
    'the javascript sdk metamorphs, tells its status and fails': told('node', file('./javascript/sdk.mjs')),
    'the python sdk metamorphs, tells its status and fails': told(python, file('./programs/sdk.py')),
};
