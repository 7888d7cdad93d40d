// Runs the examples, the SDKs and programs of years ago, as their registries ship them, against a running Larder.
//
// LARDER_URL and LARDER_TOKEN say where it runs, LARDER_PROGRAM is the program itself, SDKS_PYTHON a Python with the SDK.
// Prints `ok NAME` or `FAILED NAME` for each check, and at the end `N passed, M failed`.

import { crawls } from './checks/crawls.mjs';
import { examples } from './checks/examples.mjs';
import { older } from './checks/older.mjs';
import { sdks } from './checks/sdks.mjs';
import { runs } from './checks/runs.mjs';
import { restarts } from './checks/restarts.mjs';
import { upstreams } from './checks/upstreams.mjs';
import { world } from './world.mjs';

/** Number of concurrent checks; each has a relay and stores of its own. */
const AT_ONCE = 2;

const only = process.argv[2] ?? '';
let passed = 0;
let failed = 0;
// The longest first.
const checks = Object.entries({ ...crawls, ...restarts, ...runs, ...upstreams, ...sdks, ...older, ...examples });
const left = checks.filter(([name]) => name.includes(only));
async function work() {
    for (let next = left.shift(); next; next = left.shift()) {
        const [name, check] = next;
        const started = performance.now();
        try {
            await world(check);
            passed += 1;
            console.log(`ok ${name} (${Math.round(performance.now() - started)} ms)`);
        } catch (error) {
            failed += 1;
            console.log(`FAILED ${name}\n${error.stack ?? error}`);
        }
    }
}
await Promise.all(Array.from({ length: AT_ONCE }, work));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
