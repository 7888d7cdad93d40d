// Invalid requests that the client does not catch: the response must be clear, and nothing may be stored.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';

import { ApifyClient } from 'apify-client';

import { refused } from '../bench.mjs';

export const faults = {
    async 'a key with a slash is another path, not a record'(bench) {
        const store = await bench.store();
        await refused(store.setRecord({ key: 'a/b', value: 1 }), 404, 'page-not-found');
        assert.equal((await store.listKeys()).count, 0);
    },

    async 'keys with signs that are not allowed are refused'(bench) {
        const store = await bench.store();
        for (const key of ['a b', '100%', 'é', 'a:b', 'a*b', 'a@b', 'a~b', 'a+b']) {
            await refused(store.setRecord({ key, value: 1 }), 400, 'invalid-record-key');
            await refused(store.deleteRecord(key), 400, 'invalid-record-key');
        }
        assert.equal((await store.listKeys()).count, 0);
    },

    async 'a question mark in a key ends the path'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'a?b=c', value: 1 });
        assert.equal((await store.getRecord('a')).value, 1);
    },

    async 'a name that is not allowed is refused'(bench) {
        for (const name of ['my_store', '-a', 'a-', 'a b', 'a'.repeat(64)]) {
            await refused(bench.open(name), 400, 'invalid-value');
        }
    },

    async 'a wrong token is refused, and so is none'(bench) {
        const at = (token) => new ApifyClient({ baseUrl: bench.url, token, maxRetries: 0 }).keyValueStores();
        await refused(at('wrong').list(), 401, 'user-or-token-not-found');
        await refused(at(undefined).list(), 401, 'token-not-provided');
        await refused(at(undefined).getOrCreate('x'), 401, 'token-not-provided');
    },

    async 'a failed write leaves the old value'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'k', value: 'old' });
        async function* broken() {
            yield 'half of the new value';
            throw new Error('the source broke');
        }
        await assert.rejects(store.setRecord({ key: 'k', value: Readable.from(broken()) }));
        assert.equal((await store.getRecord('k')).value, 'old');
    },
};
