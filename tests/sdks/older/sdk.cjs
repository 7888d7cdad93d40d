// An actor of 2018 to 2021, as the platform's documentation shows it.

const assert = require('node:assert/strict');

const Apify = require('apify');

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 200, 255, 0xd9]);
const [part, name] = process.argv.slice(2);

Apify.main(async () => {
    assert.deepEqual(await Apify.getInput(), { flour: 500 });
    const store = await Apify.openKeyValueStore(name);
    if (part === 'again') {
        assert.deepEqual(await store.getValue('k'), { salt: 1 });
        await store.setValue('k', { salt: 2 });
        return;
    }
    assert.deepEqual(await Apify.getValue('INPUT'), { flour: 500 });
    assert.equal(await Apify.getValue('absent'), null);
    await Apify.setValue('OUTPUT', JPEG, { contentType: 'image/jpeg' });
    assert.deepEqual(await Apify.getValue('OUTPUT'), JPEG);
    await store.setValue('k', { salt: 1 });
    await store.setValue('text', 'a pinch of salt', { contentType: 'text/plain' });
    assert.equal(await store.getValue('text'), 'a pinch of salt');
    await store.setValue('gone', 1);
    await store.setValue('gone', null);
    assert.equal(await store.getValue('gone'), null);
    const byId = await Apify.openKeyValueStore(store.id);
    const keys = [];
    await byId.forEachKey((key) => keys.push(key));
    assert.deepEqual(keys, ['k', 'text']);
});
