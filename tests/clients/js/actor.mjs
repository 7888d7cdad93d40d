// An actor as it runs on the platform: opens the store it was given and one by name, writes a record into each and prints
// the public links to them, as JSON. The environment says where the API is (`checks/sdk.mjs` sets it).

import { Actor } from 'apify';

const [name, ...keys] = process.argv.slice(2);
await Actor.init();
const links = [];
for (const store of [await Actor.openKeyValueStore(), await Actor.openKeyValueStore(name)]) {
    for (const key of keys) {
        await store.setValue(key, `value of ${key}`, { contentType: 'text/plain' });
        links.push({ id: store.id, key, url: store.getPublicUrl(key) });
    }
}
console.log(JSON.stringify(links));
await Actor.exit({ exit: false });
process.exit(0);
