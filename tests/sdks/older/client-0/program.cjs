// The client of 2019: `apifyClient.keyValueStores`, with the token in the query.

const assert = require('node:assert/strict');

const ApifyClient = require('apify-client');

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 200, 255, 0xd9]);

async function main() {
    const [storeName] = process.argv.slice(2);
    const { keyValueStores } = new ApifyClient({ baseUrl: process.env.BASE_URL, token: process.env.TOKEN });
    const store = await keyValueStores.getOrCreateStore({ storeName });
    assert.equal((await keyValueStores.getOrCreateStore({ storeName })).id, store.id);
    const storeId = store.id;
    const json = 'application/json; charset=utf-8';
    await keyValueStores.putRecord({ storeId, key: 'recipe', body: '{"flour":500}', contentType: json });
    await keyValueStores.putRecord({ storeId, key: 'note', body: 'a pinch of salt' });
    await keyValueStores.putRecord({ storeId, key: 'picture', body: JPEG, contentType: 'image/jpeg' });
    await keyValueStores.putRecord({ storeId, key: 'gone', body: 'x' });
    await keyValueStores.deleteRecord({ storeId, key: 'gone' });
    assert.deepEqual((await keyValueStores.getRecord({ storeId, key: 'recipe' })).body, { flour: 500 });
    assert.deepEqual((await keyValueStores.getRecord({ storeId, key: 'picture' })).body, JPEG);
    assert.equal(await keyValueStores.getRecord({ storeId, key: 'gone' }), null);
    const { items } = await keyValueStores.listKeys({ storeId });
    assert.deepEqual(items.map(({ key }) => key), ['note', 'picture', 'recipe']);
    assert.ok((await keyValueStores.listStores({ limit: 1000 })).items.some(({ id }) => id === storeId));
    assert.equal((await keyValueStores.getStore({ storeId })).name, storeName);
    assert.equal((await keyValueStores.updateStore({ storeId, store: { name: `${storeName}-2` } })).id, storeId);
    const other = await keyValueStores.getOrCreateStore({ storeName: `${storeName}-other` });
    await keyValueStores.deleteStore({ storeId: other.id });
    console.log(storeId);
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
