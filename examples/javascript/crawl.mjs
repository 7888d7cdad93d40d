// A crawl that can be killed at any moment and started again, on this machine or another one.
//
// The key-value store is Larder's, with a record for each page and the state of the crawl; the request queue and the
// dataset are in the memory of this process, and nothing is lost with them: what is still to be fetched is in the state.
//
// node crawl.mjs https://example.com/ [name of the store]

import { CheerioCrawler } from '@crawlee/cheerio';
import { Configuration, KeyValueStore } from '@crawlee/core';
import { MemoryStorage } from '@crawlee/memory-storage';

import { larder } from './larder.mjs';

const [start, name = 'example-crawl'] = process.argv.slice(2);
if (!start) {
    console.error('usage: node crawl.mjs URL [NAME]');
    process.exit(2);
}

const { origin } = new URL(start);

// A store with a name is kept until it is deleted.
const { id } = await larder.keyValueStores().getOrCreate(name);
const memory = new MemoryStorage({ persistStorage: false });
const config = new Configuration({
    storageClient: {
        keyValueStore: (...store) => larder.keyValueStore(...store),
        keyValueStores: () => larder.keyValueStores(),
        dataset: (...dataset) => memory.dataset(...dataset),
        datasets: () => memory.datasets(),
        requestQueue: (...queue) => memory.requestQueue(...queue),
        requestQueues: () => memory.requestQueues(),
    },
    defaultKeyValueStoreId: id,
    // A new run continues with the state of an earlier one.
    purgeOnStart: false,
    // Maximum work that a kill can cost. CRAWLEE_PERSIST_STATE_INTERVAL_MILLIS takes precedence.
    persistStateIntervalMillis: 5_000,
});

const pages = await KeyValueStore.open(null, { config });
// Crawlee saves this object now and then, and when the crawl ends.
const state = await pages.getAutoSavedValue('CRAWL', { waiting: [new URL(start).href], done: [] });
const known = new Set([...state.waiting, ...state.done]);
console.log(`${state.done.length} pages are done, ${state.waiting.length} are known and wait.`);

/** A key for a page: keys have fewer characters than URLs. */
const keyOf = (url) => `page-${new URL(url).pathname.replaceAll(/[^a-zA-Z0-9!\-_.'()]/g, '_')}`;

const crawler = new CheerioCrawler(
    {
        minConcurrency: 4,
        maxConcurrency: 8,
        async requestHandler({ request, body, $, contentType }) {
            const url = request.loadedUrl ?? request.url;
            const links = $('a[href]').map((_, link) => new URL($(link).attr('href'), url).href).get();
            await pages.setValue(keyOf(request.url), String(body), { contentType: `${contentType.type}; charset=utf-8` });
            const fresh = [...new Set(links)].filter((link) => new URL(link).origin === origin && !known.has(link));
            for (const link of fresh) known.add(link);
            // The page is written: only now it counts as done, with all that it leads to. There is no await between these
            // lines, so that no state is saved which has one without the other.
            state.waiting = state.waiting.filter((waiting) => waiting !== request.url).concat(fresh);
            state.done.push(request.url);
            await crawler.addRequests(fresh);
        },
    },
    config,
);
await crawler.run([...state.waiting]);
console.log(`All ${state.done.length} pages are done.`);
