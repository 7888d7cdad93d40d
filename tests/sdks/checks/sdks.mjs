// The SDKs of today, at home in Larder: what they are given, and what they call.

import assert from 'node:assert/strict';

import { api, file, newName, newStore, python, record, run } from '../world.mjs';

const JAVASCRIPT = ['node', file('./javascript/sdk.mjs')];
const PYTHON = [python, file('./programs/sdk.py')];

/** The first and last bytes of what the programs write as OUTPUT. */
export const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 200, 255, 0xd9]);

export const STORES = '/v2/key-value-stores';

/** A store with an INPUT. */
export async function prepared() {
    const store = await newStore();
    await api('PUT', `/${store}/records/INPUT`, '{"flour":500}', { 'Content-Type': 'application/json' });
    return store;
}

/** Returns `true` if a response says that a record is absent, or that a name, which was tried as an id, is none. */
export function isAbsentOrProbe({ method, path, status }) {
    const isProbe = method === 'GET' && /^\/v2\/key-value-stores\/sdks-[^/]*$/.test(path);
    const isAbsent = ['GET', 'HEAD'].includes(method) && /\/records\/[^/]*$/.test(path);
    return status === 404 && (isProbe || isAbsent);
}

/** Nothing but key-value stores was asked for, and nothing refused but names that were tried as ids, and absent records. */
export function nothingRefused(calls) {
    for (const { method, path, status } of calls) {
        const shown = `${method} ${path}: ${status}`;
        assert.ok(path.startsWith(STORES), shown);
        assert.ok(status < 400 || isAbsentOrProbe({ method, path, status }), shown);
    }
    assert.ok(calls.length > 0);
}

const shown = (calls) => calls.map(({ method, path, status }) => `${method} ${path.replace(STORES, '')} ${status}`);

async function everything(relay, [program, path]) {
    const [store, name] = [await prepared(), newName()];
    const id = (await run(program, [path, 'everything', name], relay.home(store))).trim().split('\n').at(-1);
    const calls = relay.take();
    nothingRefused(calls);
    assert.deepEqual(await record(store, 'OUTPUT'), JPEG);
    assert.equal((await api('GET', `/${store}/records/OUTPUT`)).type, 'image/jpeg');
    assert.deepEqual(JSON.parse(await record(store, 'STATE')), { baked: 1 });
    assert.equal((await api('GET', `/~${name}-dropped`)).status, 404);
    return { calls: shown(calls), id, name };
}

async function linked(relay, [program, path]) {
    const name = newName();
    const link = (await run(program, [path, 'link', name], relay.home(await newStore()))).trim().split('\n').at(-1);
    assert.ok(link.includes('signature='), link);
    const answer = await fetch(link);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), { salt: 1 });
    assert.equal((await fetch(link.replace(/[?&]signature=.*/, ''))).status, 403);
}

export const sdks = {
    'case_202_203 the javascript sdk looks a name up as an id and then makes the store once': async (relay) => {
        const [store, name] = [await newStore(), newName()];
        const ids = [];
        for (const made of [201, 200]) {
            ids.push((await run(JAVASCRIPT[0], [JAVASCRIPT[1], 'open', name], relay.home(store))).trim().split('\n').at(-1));
            const opening = shown(relay.take()).filter((call) => call.includes(name));
            assert.deepEqual(opening, [`GET /${name} 404`, `POST ?name=${name} ${made}`]);
        }
        assert.equal(ids[0], ids[1]);
    },
    'case_204_205 the javascript sdk does everything': async (relay) => {
        const { calls, id } = await everything(relay, JAVASCRIPT);
        assert.equal(String(await record(id, 'k')), '"str"');
        assert.equal(calls.filter((call) => call === `DELETE /${id}/records/gone 204`).length, 2);
    },
    'case_206 a link of the javascript sdk opens without a token': (relay) => linked(relay, JAVASCRIPT),
    'case_207 the python sdk does everything': async (relay) => {
        const { calls, id, name } = await everything(relay, PYTHON);
        assert.equal(String(await record(id, 'nothing')), 'null');
        assert.ok(calls.includes(`PUT /${id}/records/nothing 201`));
        assert.ok(calls.includes(`POST ?name=${name} 201`) && !calls.includes(`GET /${name} 404`));
    },
    'case_207 a link of the python sdk opens without a token': (relay) => linked(relay, PYTHON),
    'case_208 the python sdk keeps its aliases in the default store': async (relay) => {
        const store = await newStore();
        const open = async () => (await run(PYTHON[0], [PYTHON[1], 'alias', 'shelf'], relay.home(store))).trim();
        const [first, second] = [await open(), await open()].map((line) => line.split('\n').at(-1).split(' '));
        assert.deepEqual([first[1], second], ['1', [first[0], '2']]);
        nothingRefused(relay.take());
        const mapping = JSON.parse(await record(store, '__STORAGE_ALIASES_MAPPING'));
        assert.ok(JSON.stringify(mapping).includes(first[0]));
    },
    'case_209 both sdks begin and end without a call but for key-value stores': async (relay) => {
        const store = await newStore();
        for (const [program, path] of [JAVASCRIPT, PYTHON]) {
            await run(program, [path, 'write'], relay.home(store));
            nothingRefused(relay.take());
        }
    },
};
