// Records: every kind of value the client can write, read back in every way it can read.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';

import { collect, oneBitAway, refused } from '../bench.mjs';

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';
const BINARY_TYPE = 'application/octet-stream';

/** Stored bytes of a record: what the client sent, compressed or not. */
async function storedSize(store, key) {
    const { items } = await store.listKeys({ prefix: key, limit: 1 });
    assert.equal(items[0].key, key);
    return items[0].size;
}

async function roundTrip(store, record, value, contentType) {
    await store.setRecord(record);
    assert.deepEqual(await store.getRecord(record.key), { key: record.key, value, contentType });
}

export const records = {
    async 'json values come back as they were'(bench) {
        const store = await bench.store();
        for (const value of [{ a: [1, 'ž', null] }, [], null, 42, true, -0.5]) {
            await roundTrip(store, { key: 'json', value }, value, JSON_TYPE);
        }
    },

    async 'text comes back as text with its type'(bench) {
        const store = await bench.store();
        await roundTrip(store, { key: 'text', value: 'hello příště' }, 'hello příště', TEXT_TYPE);
        const page = { key: 'page.html', value: '<p>hi</p>', contentType: 'text/html' };
        await roundTrip(store, page, page.value, 'text/html');
        const svg = { key: 'logo.svg', value: '<svg/>', contentType: 'image/svg+xml' };
        await roundTrip(store, svg, Buffer.from(svg.value), 'image/svg+xml');
        const typed = { key: 'typed', value: 'x', contentType: 'text/csv; charset=utf-8; header=present' };
        await roundTrip(store, typed, 'x', typed.contentType);
    },

    async 'empty values exist, with their type'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'empty', value: '' });
        await store.setRecord({ key: 'ebuf', value: Buffer.alloc(0) });
        for (const [key, contentType] of [['empty', TEXT_TYPE], ['ebuf', BINARY_TYPE]]) {
            assert.equal(await store.recordExists(key), true);
            const record = await store.getRecord(key);
            assert.equal(record.contentType, contentType);
            assert.equal(record.value, undefined, 'this client reads every empty body as undefined');
            assert.equal(await storedSize(store, key), 0);
        }
    },

    async 'bytes come back as bytes'(bench) {
        const store = await bench.store();
        const value = Buffer.from([0, 255, 10]);
        await roundTrip(store, { key: 'buf', value }, value, BINARY_TYPE);
        const png = { key: 'u8', value: new Uint8Array([137, 80, 78]), contentType: 'image/png' };
        await roundTrip(store, png, Buffer.from(png.value), 'image/png');
        assert.deepEqual((await store.getRecord('buf', { buffer: true })).value, value);
    },

    async 'a stream of unknown length is stored whole'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'small', value: Readable.from(['a', 'b', 'c']) });
        assert.deepEqual((await store.getRecord('small')).value, Buffer.from('abc'));
        const chunks = Array.from({ length: 64 }, () => randomBytes(33_333));
        await store.setRecord({ key: 'large', value: Readable.from(chunks), contentType: 'video/mp4' });
        const record = await store.getRecord('large', { buffer: true });
        assert.equal(record.contentType, 'video/mp4');
        assert.ok(Buffer.concat(chunks).equals(record.value));
    },

    async 'a 2 MB random image is byte-identical, as a buffer and as a stream'(bench) {
        const store = await bench.store();
        const value = randomBytes(2_000_000);
        await store.setRecord({ key: 'img-big', value, contentType: 'image/jpeg' });
        assert.ok(value.equals((await store.getRecord('img-big')).value));
        assert.ok(value.equals((await store.getRecord('img-big', { buffer: true })).value));
        const { value: stream, contentType } = await store.getRecord('img-big', { stream: true });
        assert.equal(contentType, 'image/jpeg');
        assert.ok(value.equals(Buffer.concat(await collect(stream))));
    },

    async 'a large json value is stored compressed and comes back whole'(bench) {
        const store = await bench.store();
        const value = Array.from({ length: 30_000 }, (_, i) => ({ i, text: 'the same again and again' }));
        await roundTrip(store, { key: 'bigjson', value }, value, JSON_TYPE);
        assert.ok((await storedSize(store, 'bigjson')) < 500_000);
    },

    async 'text is sent compressed from 1024 bytes on, and plain below'(bench) {
        const store = await bench.store();
        await roundTrip(store, { key: 't1023', value: 'x'.repeat(1023) }, 'x'.repeat(1023), TEXT_TYPE);
        await roundTrip(store, { key: 't1024', value: 'x'.repeat(1024) }, 'x'.repeat(1024), TEXT_TYPE);
        assert.equal(await storedSize(store, 't1023'), 1023);
        assert.ok((await storedSize(store, 't1024')) < 1024);
    },

    async 'compressed html is stored as any other type'(bench) {
        const store = await bench.store();
        const value = `<ul>${'<li>item</li>'.repeat(500)}</ul>`;
        await roundTrip(store, { key: 'long.html', value, contentType: 'text/html' }, value, 'text/html');
    },

    async 'overwriting replaces value, type and encoding'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'k', value: 'y'.repeat(5000) });
        await roundTrip(store, { key: 'k', value: { small: 1 } }, { small: 1 }, JSON_TYPE);
        await roundTrip(store, { key: 'k', value: 'z'.repeat(5000) }, 'z'.repeat(5000), TEXT_TYPE);
        assert.equal((await store.listKeys()).count, 1);
    },

    async 'every allowed sign of a key reaches the same record'(bench) {
        const store = await bench.store();
        const key = "a!-_.'()Z9";
        await roundTrip(store, { key, value: 1 }, 1, JSON_TYPE);
        assert.deepEqual((await store.listKeys()).items.map((item) => item.key), [key]);
        assert.equal(await store.recordExists(key), true);
        await store.deleteRecord(key);
        assert.equal(await store.getRecord(key), undefined);
    },

    async 'a key may be 256 signs long and not more'(bench) {
        const store = await bench.store();
        await roundTrip(store, { key: 'k'.repeat(256), value: 1 }, 1, JSON_TYPE);
        await refused(store.setRecord({ key: 'k'.repeat(257), value: 1 }), 400, 'invalid-record-key');
    },

    async 'keys that differ by case are two records'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'Key', value: 'upper' });
        await store.setRecord({ key: 'key', value: 'lower' });
        assert.equal((await store.getRecord('Key')).value, 'upper');
        assert.equal((await store.getRecord('key')).value, 'lower');
    },

    async 'an absent record is undefined and does not exist'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'there', value: 1 });
        assert.equal(await store.getRecord('nope'), undefined);
        assert.equal(await store.getRecord('nope', { buffer: true }), undefined);
        assert.equal(await store.recordExists('there'), true);
        assert.equal(await store.recordExists('nope'), false);
    },

    async 'the owner may send any signature'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'json', value: { ok: true } });
        assert.deepEqual((await store.getRecord('json', { signature: 'x' })).value, { ok: true });
    },

    async 'deleting a record twice is well'(bench) {
        const store = await bench.store();
        await store.setRecord({ key: 'json', value: 1 });
        await store.deleteRecord('json');
        assert.equal(await store.getRecord('json'), undefined);
        await store.deleteRecord('json');
        await store.deleteRecord('never-was');
    },

    async 'a public record url opens the record without a token, and nothing one bit away from it'(bench) {
        const { id } = await bench.open();
        const store = bench.client.keyValueStore(id);
        for (const key of ['OUTPUT', "a!-_.'()Z9"]) {
            await store.setRecord({ key, value: `value of ${key}`, contentType: 'text/plain' });
            const url = new URL(await store.getRecordPublicUrl(key));
            assert.equal(url.origin, new URL(bench.url).origin);
            assert.equal(url.pathname, `/v2/key-value-stores/${id}/records/${key}`);
            assert.match(url.searchParams.get('signature'), /^[0-9a-zA-Z]+$/);
            const opened = await fetch(url);
            assert.deepEqual([opened.status, await opened.text()], [200, `value of ${key}`]);
            assert.equal((await fetch(oneBitAway(url))).status, 403);
        }
    },
};
