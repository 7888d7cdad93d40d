// Constant load on a running Larder by the official JavaScript client, its retries off, until the input ends.
//
// LARDER_URL and LARDER_TOKEN say where it runs. Prints `N calls, M lost` at the end, each loss before that with its error.

import { ApifyClient } from 'apify-client';

/** Loops at once. */
const WORKERS = 6;

const url = process.env.LARDER_URL;
const client = new ApifyClient({ baseUrl: url, token: process.env.LARDER_TOKEN, maxRetries: 0 });
const { id } = await client.keyValueStores().getOrCreate();
const store = client.keyValueStore(id);

let calls = 0;
let lost = 0;
let isOver = false;
process.stdin.on('end', () => {
    isOver = true;
});
process.stdin.resume();

async function counted(what, call) {
    calls += 1;
    try {
        return await call();
    } catch (error) {
        lost += 1;
        console.log(`LOST ${what} at ${new Date().toISOString()}: ${error.message}`);
        return undefined;
    }
}

async function work(worker) {
    for (let round = 0; !isOver; round += 1) {
        const key = `${worker}-${round % 20}`;
        const value = `${worker} ${round} ${'x'.repeat(round % 3 === 0 ? 200_000 : 200)}`;
        const isWritten = await counted('set', async () => {
            await store.setRecord({ key, value, contentType: 'text/plain' });
            return true;
        });
        const read = await counted('get', async () => store.getRecord(key));
        if (isWritten && read && read.value !== value) {
            lost += 1;
            console.log(`LOST what was set: ${key} is ${String(read.value).slice(0, 20)}`);
        }
        await counted('list', async () => store.listKeys({ limit: 5 }));
    }
}

await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
await store.delete();
console.log(`${calls} calls, ${lost} lost`);
process.exitCode = lost === 0 && calls > 0 ? 0 : 1;
