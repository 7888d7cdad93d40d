// SDKs and clients of years ago, as their registries still have them.

import assert from 'node:assert/strict';

import { api, file, newName, newStore, python, record, run, token } from '../world.mjs';
import { nothingRefused, prepared } from './sdks.mjs';

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 200, 255, 0xd9]);

async function client(relay, program, args, more = {}) {
    const out = await run(program, [...args, newName()], { BASE_URL: relay.url, TOKEN: token, ...more });
    nothingRefused(relay.take());
    const store = out.trim();
    assert.deepEqual(await record(store, 'picture'), JPEG);
    assert.equal((await api('GET', `/${store}/records/picture`)).type, 'image/jpeg');
    assert.deepEqual(JSON.parse(await record(store, 'recipe')), { flour: 500 });
    assert.equal(String(await record(store, 'note')), 'a pinch of salt');
}

async function sdk(relay, program, path, more = {}) {
    const [store, name] = [await prepared(), newName()];
    const home = relay.home(store, more);
    for (const part of ['everything', 'again']) {
        await run(program, [path, part, name], home);
        nothingRefused(relay.take());
    }
    assert.deepEqual(await record(store, 'OUTPUT'), JPEG);
    assert.equal((await api('GET', `/${store}/records/OUTPUT`)).type, 'image/jpeg');
    assert.deepEqual(JSON.parse(await record(`~${name}`, 'k')), { salt: 2 });
}

/** Variables that the platform gave to actors then, and names that it did not use yet. */
const THEN = {
    APIFY_ACTOR_RUN_ID: 'run',
    APIFY_ACTOR_ID: 'actor',
    APIFY_USER_ID: 'user',
    ACTOR_DEFAULT_KEY_VALUE_STORE_ID: undefined,
};

/** The packages of an older Python program. */
const packages = (name) => ({ PYTHONPATH: file(`./older/packages/${name}`) });

const nodeClient = (major) => (relay) => client(relay, 'node', [file(`./older/client-${major}/program.cjs`)]);
const nodeSdk = (major) => (relay) => sdk(relay, 'node', file(`./older/sdk-${major}/program.cjs`), THEN);
const pythonClient = (major) => (relay) =>
    client(relay, python, [file('./older/python-client/program.py')], packages(`client-${major}`));
const pythonSdk = (major) => (relay) =>
    sdk(relay, python, file('./older/python-sdk/program.py'), packages(`sdk-${major}`));

export const older = {
    'apify 1 of npm runs Apify.main with getInput, getValue, setValue and openKeyValueStore': nodeSdk(1),
    'apify 2 of npm runs Apify.main with getInput, getValue, setValue and openKeyValueStore': nodeSdk(2),
    'apify-client 0 of npm uses stores and records': nodeClient(0),
    'apify-client 0 of npm is told that large records take another way': async () => {
        // It would upload 256 KiB and more by a URL of the platform's object store.
        const answer = await api('GET', `/${await newStore()}/records/large/direct-upload-url`);
        assert.equal(answer.status, 403);
        assert.equal(JSON.parse(answer.bytes).error.type, 'platform-feature-disabled');
    },
    'apify-client 1 of npm uses stores and records': nodeClient(1),
    'apify 1 of PyPI runs an actor': pythonSdk(1),
    'apify 3 of PyPI runs an actor': pythonSdk(3),
    'apify-client 1 of PyPI uses stores and records': pythonClient(1),
    'apify-client 2 of PyPI uses stores and records': pythonClient(2),
};
