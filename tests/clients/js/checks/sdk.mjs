// The official SDK against this server. It reads its settings from the environment once, so that an actor is a process
// of its own.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { oneBitAway } from '../bench.mjs';

/** Timeout for an actor, in milliseconds. */
const TIMEOUT_MS = 60_000;

const ACTOR = fileURLToPath(new URL('../actor.mjs', import.meta.url));

const KEYS = ['OUTPUT', "a!-_.'()Z9"];

/** The environment of an actor that runs against the server and needs nothing of it but key-value stores. */
function atHome(bench, defaultStore) {
    return {
        ...process.env,
        APIFY_IS_AT_HOME: '1',
        APIFY_TOKEN: bench.client.token,
        APIFY_API_BASE_URL: bench.url,
        APIFY_API_PUBLIC_BASE_URL: bench.url,
        ACTOR_DEFAULT_KEY_VALUE_STORE_ID: defaultStore,
        APIFY_ACTOR_PRICING_INFO: '{"pricingModel":"FREE"}',
        APIFY_CHARGED_ACTOR_EVENT_COUNTS: '{"none":0}',
        APIFY_LOG_LEVEL: 'ERROR',
    };
}

export const sdk = {
    async 'a public link of the sdk opens the record without a token, and nothing one bit away from it'(bench) {
        const unnamed = await bench.open();
        const named = await bench.open(bench.name('sdk'));
        const actor = await promisify(execFile)(process.execPath, [ACTOR, named.name, ...KEYS], {
            env: atHome(bench, unnamed.id),
            timeout: TIMEOUT_MS,
        });
        const links = JSON.parse(actor.stdout.trim().split('\n').at(-1));
        const made = links.map(({ id, key }) => [id, key]);
        assert.deepEqual(made, [unnamed, named].flatMap(({ id }) => KEYS.map((key) => [id, key])));
        for (const { id, key, url } of links) {
            const link = new URL(url);
            assert.equal(link.origin, new URL(bench.url).origin);
            assert.equal(link.pathname, `/v2/key-value-stores/${id}/records/${key}`);
            const opened = await fetch(link);
            assert.deepEqual([opened.status, await opened.text()], [200, `value of ${key}`]);
            assert.equal((await fetch(oneBitAway(link))).status, 403);
            link.searchParams.delete('signature');
            assert.ok([401, 403, 404].includes((await fetch(link)).status), 'it is the signature that opens it');
        }
    },
};
