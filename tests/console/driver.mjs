// Drives the console of a running Larder in a browser, as people use it.
//
// LARDER_URL and LARDER_TOKEN say where it runs and who administers it, CHROMIUM is the browser. An argument picks the checks whose
// names have it. Prints `ok NAME` or `FAILED NAME` for each check, and at the end `N passed, M failed`.

import { chromium } from 'playwright-core';

import { accounts } from './checks/accounts.mjs';
import { activeContent } from './checks/active_content.mjs';
import { frame } from './checks/frame.mjs';
import { looks } from './checks/looks.mjs';
import { records } from './checks/records.mjs';
import { runs } from './checks/runs.mjs';
import { settings } from './checks/settings.mjs';
import { stores } from './checks/stores.mjs';
import { browserOptions, world } from './world.mjs';

/** Number of concurrent checks; each has a user and a browser context of its own. */
const AT_ONCE = 2;

const only = process.argv[2] ?? '';
// The longest first.
const checks = Object.entries({
    ...activeContent,
    ...stores,
    ...frame,
    ...records,
    ...looks,
    ...settings,
    ...runs,
    ...accounts,
});
const left = checks.filter(([name]) => name.includes(only));
const browser = await chromium.launch(browserOptions());
let passed = 0;
let failed = 0;
async function work() {
    for (let next = left.shift(); next; next = left.shift()) {
        const [name, check] = next;
        const started = performance.now();
        try {
            await world(browser, name, check);
            passed += 1;
            console.log(`ok ${name} (${Math.round(performance.now() - started)} ms)`);
        } catch (error) {
            failed += 1;
            console.log(`FAILED ${name}\n${error.stack ?? error}`);
        }
    }
}
await Promise.all(Array.from({ length: AT_ONCE }, work));
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
