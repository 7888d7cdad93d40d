// The client of 2021: `client.keyValueStore(id)`.

const assert = require('node:assert/strict');

const ApifyClient = require('apify-client');

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 200, 255, 0xd9]);

async function main() {
    const [name] = process.argv.slice(2);
    const client = new ApifyClient({ baseUrl: process.env.BASE_URL, token: process.env.TOKEN });
    const { id } = await client.keyValueStores().getOrCreate(name);
    const store = client.keyValueStore(id);
    await store.setRecord({ key: 'recipe', value: { flour: 500 } });
    await store.setRecord({ key: 'note', value: 'a pinch of salt', contentType: 'text/plain; charset=utf-8' });
    await store.setRecord({ key: 'picture', value: JPEG, contentType: 'image/jpeg' });
    await store.setRecord({ key: 'large', value: 'x'.repeat(1_000_000) });
    await store.setRecord({ key: 'gone', value: 1 });
    await store.deleteRecord('gone');
    assert.deepEqual((await store.getRecord('recipe')).value, { flour: 500 });
    assert.deepEqual((await store.getRecord('picture')).value, JPEG);
    assert.equal((await store.getRecord('large')).value.length, 1_000_000);
    assert.equal(await store.getRecord('gone'), undefined);
    const { items } = await store.listKeys({ limit: 1000 });
    assert.deepEqual(items.map(({ key }) => key), ['large', 'note', 'picture', 'recipe']);
    assert.ok((await client.keyValueStores().list({ limit: 1000 })).items.some((item) => item.id === id));
    assert.equal((await store.get()).name, name);
    assert.equal((await store.update({ name: `${name}-2` })).id, id);
    const other = await client.keyValueStores().getOrCreate(`${name}-other`);
    await client.keyValueStore(other.id).delete();
    console.log(id);
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
