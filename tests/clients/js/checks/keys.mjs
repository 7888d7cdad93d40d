// Listing keys: order, pages, prefixes, collections, iteration.

import assert from 'node:assert/strict';

import { collect, inParallel, oneBitAway, refused } from '../bench.mjs';

async function filled(bench, keys, options) {
    const store = bench.client.keyValueStore((await bench.open(undefined, options)).id);
    await inParallel(keys, (key) => store.setRecord({ key, value: key }));
    return store;
}

const names = (page) => page.items.map((item) => item.key);

export const keys = {
    async 'an empty store lists nothing and says so in full'(bench) {
        const page = await (await bench.store()).listKeys();
        assert.deepEqual(page, {
            items: [],
            count: 0,
            limit: 1000,
            isTruncated: false,
            exclusiveStartKey: null,
            nextExclusiveStartKey: null,
        });
    },

    async 'keys come in the order of their bytes, with size and link'(bench) {
        const store = await filled(bench, ['B', 'a', '_x', '1', '!']);
        const page = await store.listKeys();
        assert.deepEqual(names(page), ['!', '1', 'B', '_x', 'a']);
        assert.deepEqual(page.items.map((item) => item.size), [1, 1, 1, 2, 1]);
        for (const item of page.items) assert.ok(new URL(item.recordPublicUrl).pathname.includes('/records/'));
    },

    async 'pages follow each other'(bench) {
        const store = await filled(bench, ['a', 'b', 'c']);
        const first = await store.listKeys({ limit: 2 });
        assert.deepEqual(names(first), ['a', 'b']);
        assert.deepEqual([first.count, first.limit, first.isTruncated], [2, 2, true]);
        assert.equal(first.nextExclusiveStartKey, 'b');
        const second = await store.listKeys({ limit: 2, exclusiveStartKey: first.nextExclusiveStartKey });
        assert.deepEqual(names(second), ['c']);
        assert.deepEqual([second.exclusiveStartKey, second.nextExclusiveStartKey], ['b', null]);
        assert.equal((await store.listKeys({ limit: 3 })).nextExclusiveStartKey, null);
        assert.deepEqual(names(await store.listKeys({ exclusiveStartKey: 'aa' })), ['b', 'c']);
    },

    async 'a limit of nought is the default and a large one is lowered'(bench) {
        const store = await bench.store();
        assert.equal((await store.listKeys({ limit: 0 })).limit, 1000);
        assert.equal((await store.listKeys({ limit: 5000 })).limit, 1000);
    },

    async 'prefix, start key, collection, limit and signature narrow together'(bench) {
        const schema = {
            actorKeyValueStoreSchemaVersion: 1,
            title: 'Images',
            collections: {
                imgs: { title: 'Images', keyPrefix: 'img-' },
                report: { title: 'Report', key: 'REPORT' },
            },
        };
        const store = await filled(bench, ['a', 'img-1', 'img-2', 'img-3', 'imh', 'REPORT', 'REPORT-2'], { schema });
        const page = await store.listKeys({
            limit: 2,
            exclusiveStartKey: 'a',
            prefix: 'img-',
            collection: 'imgs',
            signature: 'x',
        });
        assert.deepEqual(names(page), ['img-1', 'img-2']);
        assert.equal(page.isTruncated, true);
        assert.deepEqual(names(await store.listKeys({ prefix: 'im' })), ['img-1', 'img-2', 'img-3', 'imh']);
        assert.deepEqual(names(await store.listKeys({ collection: 'imgs' })), ['img-1', 'img-2', 'img-3']);
        assert.deepEqual(names(await store.listKeys({ collection: 'report' })), ['REPORT']);
        await refused(store.listKeys({ collection: 'other' }), 400, 'invalid-collection');
    },

    async 'a collection of a store without a schema is refused'(bench) {
        await refused((await bench.store()).listKeys({ collection: 'imgs' }), 400, 'invalid-collection');
    },

    async 'iteration stops at its limit, with its prefix'(bench) {
        const store = await filled(bench, ['a1', 'a2', 'a3', 'a4', 'b1']);
        assert.deepEqual((await collect(store.listKeys({ limit: 3 }))).map((item) => item.key), ['a1', 'a2', 'a3']);
        const all = await collect(store.listKeys({ prefix: 'a' }));
        assert.deepEqual(all.map((item) => item.key), ['a1', 'a2', 'a3', 'a4']);
    },

    async 'iterating over more than a thousand keys yields each once, in order'(bench) {
        const expected = Array.from({ length: 1001 }, (_, i) => `key-${String(i).padStart(4, '0')}`);
        const store = await filled(bench, expected);
        assert.deepEqual((await collect(store.listKeys())).map((item) => item.key), expected);
    },

    async 'a public keys url lists without a token as it was asked for, and nothing one bit away from it'(bench) {
        const { id } = await bench.open();
        const store = bench.client.keyValueStore(id);
        const url = new URL(await store.createKeysPublicUrl({ limit: 10, prefix: 'img-', expiresInSecs: 60 }));
        assert.equal(url.origin, new URL(bench.url).origin);
        assert.equal(url.pathname, `/v2/key-value-stores/${id}/keys`);
        assert.deepEqual([url.searchParams.get('limit'), url.searchParams.get('prefix')], ['10', 'img-']);
        const signature = Buffer.from(url.searchParams.get('signature'), 'base64url').toString();
        assert.match(signature, /^0\.\d+\.[0-9a-zA-Z]+$/);
        for (const key of ['img-1', 'img-2', 'text']) await store.setRecord({ key, value: key });
        const listed = await (await fetch(url)).json();
        assert.deepEqual(listed.data.items.map((item) => item.key), ['img-1', 'img-2']);
        assert.equal((await fetch(oneBitAway(url))).status, 403);
    },
};
