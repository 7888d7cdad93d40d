// Stores: create, open, find, list, rename, remove.

import assert from 'node:assert/strict';

import { collect, inParallel, refused } from '../bench.mjs';

const SCHEMA = {
    actorKeyValueStoreSchemaVersion: 1,
    title: 'Images',
    collections: { imgs: { title: 'Images', keyPrefix: 'img-', contentTypes: ['image/jpeg'] } },
};

const ABSENT = 'Abcdefghjkmnpqrst';

export const stores = {
    async 'an unnamed store is new each time'(bench) {
        const [one, two] = [await bench.open(), await bench.open()];
        assert.match(one.id, /^[a-zA-Z0-9]{17}$/);
        assert.notEqual(one.id, two.id);
        assert.equal(one.name ?? null, null);
    },

    async 'a store description has what the client types promise'(bench) {
        const name = bench.name('typed');
        const store = await bench.open(name);
        assert.equal(store.name, name);
        for (const field of ['createdAt', 'modifiedAt', 'accessedAt']) assert.ok(store[field] instanceof Date, field);
        assert.equal(typeof store.userId, 'string');
        assert.ok(new URL(store.keysPublicUrl).pathname.endsWith(`/v2/key-value-stores/${store.id}/keys`));
        assert.equal(typeof store.urlSigningSecretKey, 'string');
        assert.equal(store.generalAccess, 'FOLLOW_USER_SETTING');
    },

    async 'a name opens one store whatever its case'(bench) {
        const name = bench.name('case');
        const made = await bench.open(name);
        assert.equal((await bench.open(name)).id, made.id);
        const again = await bench.open(name.toUpperCase());
        assert.deepEqual([again.id, again.name], [made.id, name]);
    },

    async 'twenty openings of one new name at once make one store'(bench) {
        const name = bench.name('race');
        const opened = await Promise.all(Array.from({ length: 20 }, () => bench.open(name)));
        assert.equal(new Set(opened.map((store) => store.id)).size, 1);
    },

    async 'a schema given at creation is returned'(bench) {
        const { id } = await bench.open(bench.name('schema'), { schema: SCHEMA });
        assert.deepEqual((await bench.client.keyValueStore(id).get()).schema, SCHEMA);
    },

    async 'a schema large enough to be sent compressed is returned'(bench) {
        const schema = { ...SCHEMA, description: 'long '.repeat(1000) };
        assert.deepEqual((await bench.open(undefined, { schema })).schema, schema);
    },

    async 'a store is found by id, by user/name and by user~name'(bench) {
        const { username } = await bench.client.user('me').get();
        const name = bench.name('found');
        const { id } = await bench.open(name);
        for (const address of [id, `${username}/${name}`, `${username}~${name}`, `~${name}`]) {
            assert.equal((await bench.client.keyValueStore(address).get()).id, id, address);
        }
    },

    async 'a record is reached by user/name'(bench) {
        const { username } = await bench.client.user('me').get();
        const name = bench.name('named');
        await bench.open(name);
        const store = bench.client.keyValueStore(`${username}/${name}`);
        await store.setRecord({ key: 'k', value: 'by name' });
        assert.equal((await store.getRecord('k')).value, 'by name');
    },

    async 'an absent store is undefined, and so is a bare name'(bench) {
        const name = bench.name('bare');
        await bench.open(name);
        for (const address of [ABSENT, name, `~${bench.name('absent')}`]) {
            assert.equal(await bench.client.keyValueStore(address).get(), undefined, address);
        }
    },

    async 'update changes title and access and leaves the rest'(bench) {
        const name = bench.name('update');
        const made = await bench.open(name);
        const store = bench.client.keyValueStore(made.id);
        const updated = await store.update({ title: 'A title', generalAccess: 'RESTRICTED' });
        assert.deepEqual([updated.title, updated.generalAccess, updated.name], ['A title', 'RESTRICTED', name]);
        assert.ok(updated.modifiedAt >= made.modifiedAt);
        const read = await store.get();
        assert.deepEqual([read.title, read.generalAccess, read.name], ['A title', 'RESTRICTED', name]);
        assert.equal((await store.update({ generalAccess: null })).generalAccess, 'FOLLOW_USER_SETTING');
    },

    async 'update gives a new name, takes it away and gives it back'(bench) {
        const [before, after] = [bench.name('before'), bench.name('after')];
        const { id } = await bench.open(before);
        const store = bench.client.keyValueStore(id);
        const renamed = await store.update({ name: after });
        assert.deepEqual([renamed.id, renamed.name], [id, after]);
        assert.equal((await bench.client.keyValueStore(`~${after}`).get()).id, id);
        assert.equal(await bench.client.keyValueStore(`~${before}`).get(), undefined);
        assert.equal((await store.update({ name: null })).name ?? null, null);
        assert.equal(await bench.client.keyValueStore(`~${after}`).get(), undefined);
        assert.equal((await store.update({ name: before })).name, before);
        assert.equal((await store.update({ name: before })).name, before);
    },

    async 'a title long enough to be sent compressed arrives'(bench) {
        const store = await bench.store();
        const title = 'dlouhý název '.repeat(75).trim();
        assert.equal((await store.update({ title })).title, title);
    },

    async 'a wrong update is refused and changes nothing'(bench) {
        const [name, taken] = [bench.name('right'), bench.name('taken')];
        const { id } = await bench.open(name);
        await bench.open(taken);
        const store = bench.client.keyValueStore(id);
        await refused(store.update({ name: 'bad name' }), 400, 'invalid-value');
        await refused(store.update({ generalAccess: 'WRONG' }), 400, 'invalid-value');
        await refused(store.update({ name: taken }), 409, 'name-not-unique');
        assert.equal((await store.get()).name, name);
        await refused(bench.client.keyValueStore(ABSENT).update({ title: 'x' }), 404, 'record-not-found');
    },

    async 'lists are paged, reversible, and hold unnamed stores on request'(bench) {
        const made = [];
        for (let i = 0; i < 3; i += 1) made.push((await bench.open(bench.name('list'))).id);
        const unnamed = (await bench.open()).id;
        const list = (options) => bench.client.keyValueStores().list(options);
        const ids = (page) => page.items.map((store) => store.id);

        const page = await list({ limit: 2, offset: 1, ownership: 'ownedByMe' });
        assert.deepEqual([page.limit, page.offset, page.desc, page.unnamed], [2, 1, false, false]);
        assert.equal(page.items.length, page.count);
        assert.ok(page.count === 2 && page.total >= 3);

        const newest = await list({ desc: true, limit: 3 });
        assert.deepEqual(ids(newest), [...made].reverse());
        assert.equal(newest.desc, true);
        assert.ok(!ids(await list({ desc: true })).includes(unnamed));

        const all = await list({ unnamed: true, desc: true, limit: 4, offset: 0 });
        assert.equal(all.unnamed, true);
        assert.deepEqual(ids(all), [unnamed, ...[...made].reverse()]);

        const beyond = await list({ offset: 999_999 });
        assert.deepEqual([beyond.items, beyond.count, beyond.total], [[], 0, page.total]);
    },

    async 'iterating over more than a thousand stores yields each once'(bench) {
        const made = new Set();
        await inParallel(Array.from({ length: 1001 }), async () => made.add((await bench.open()).id));
        for (const options of [{ unnamed: true, limit: 0 }, { unnamed: true, limit: 1500, desc: true }]) {
            const ids = (await collect(bench.client.keyValueStores().list(options))).map((store) => store.id);
            assert.equal(new Set(ids).size, ids.length, 'a store came twice');
            assert.equal(ids.filter((id) => made.has(id)).length, made.size);
        }
    },

    async 'iteration stops at its limit'(bench) {
        for (let i = 0; i < 3; i += 1) await bench.open();
        assert.equal((await collect(bench.client.keyValueStores().list({ unnamed: true, limit: 2 }))).length, 2);
    },

    async 'a removed store is gone at once, and removing it again is well'(bench) {
        const name = bench.name('gone');
        const { id } = await bench.open(name);
        const store = bench.client.keyValueStore(id);
        await store.setRecord({ key: 'k', value: 1 });
        await store.delete();
        assert.equal(await store.get(), undefined);
        assert.equal(await store.getRecord('k'), undefined);
        assert.equal(await store.recordExists('k'), false);
        await refused(store.listKeys(), 404, 'record-not-found');
        await refused(store.setRecord({ key: 'k', value: 1 }), 404, 'record-not-found');
        await refused(store.deleteRecord('k'), 404, 'record-not-found');
        await store.delete();
        const again = await bench.open(name);
        assert.notEqual(again.id, id);
        assert.equal(await bench.client.keyValueStore(again.id).getRecord('k'), undefined);
    },
};
