// Drives a running Larder with the official JavaScript client, and the SDK on it, as npm ships them.
//
// LARDER_URL and LARDER_TOKEN say where it runs. Each check makes its own stores and removes them, so checks
// neither depend on each other nor leave anything behind. Prints `ok NAME` or `FAILED NAME` for each, and at the
// end `N passed, M failed`.

import { ApifyClient } from 'apify-client';

import { faults } from './checks/faults.mjs';
import { keys } from './checks/keys.mjs';
import { records } from './checks/records.mjs';
import { sdk } from './checks/sdk.mjs';
import { stores } from './checks/stores.mjs';
import { Bench } from './bench.mjs';

function required(name) {
    const value = process.env[name];
    if (!value) {
        console.error(`${name} is not set: it says which Larder to drive (cargo xtask test clients sets it)`);
        process.exit(2);
    }
    return value;
}

const url = required('LARDER_URL');
// No retries: the client's own would hide an answer that fails the first time.
const client = new ApifyClient({ baseUrl: url, publicBaseUrl: url, token: required('LARDER_TOKEN'), maxRetries: 0 });
const bench = new Bench(client, url);

let passed = 0;
let failed = 0;
for (const [name, check] of Object.entries({ ...stores, ...records, ...keys, ...faults, ...sdk })) {
    const started = performance.now();
    try {
        await check(bench);
        passed += 1;
        console.log(`ok ${name} (${Math.round(performance.now() - started)} ms)`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED ${name}\n${error.stack ?? error}`);
    } finally {
        await bench.clear();
    }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
