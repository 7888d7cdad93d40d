// Load times of pages with 100,000 stores and a store of 1,000,000 keys: until the first rows are shown, and the
// longest freeze of the page during scrolling and searching.
//
// LARDER_URL, LARDER_TOKEN and CHROMIUM as for the checks. STORES and KEYS are other numbers of both.

import { Agent, request } from 'node:http';
import { chromium } from 'playwright-core';

import { World, adminToken, browserOptions, url } from './world.mjs';

const STORES = Number(process.env.STORES ?? 100_000);
const KEYS = Number(process.env.KEYS ?? 1_000_000);

/** Connections while filling. */
const AT_ONCE = 64;

/** Number of measurements of each case; the median is reported. */
const ROUNDS = 5;

const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

/** A request, without the cost of `fetch`. */
function send(method, path, body, token) {
    return new Promise((resolve, reject) => {
        const headers = {
            Authorization: `Bearer ${token}`,
            'Content-Type': 'text/plain',
            'Content-Length': Buffer.byteLength(body),
        };
        const sent = request(url + path, { method, agent, headers }, (answer) => {
            answer.resume();
            answer.on('end', () =>
                answer.statusCode < 300 ? resolve() : reject(new Error(`${method} ${path}: ${answer.statusCode}`)),
            );
        });
        sent.on('error', reject);
        sent.end(body);
    });
}

async function fill(what, number, act) {
    let next = 0;
    const work = async () => {
        while (next < number) {
            next += 1;
            await act(next - 1);
        }
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    console.log(`${number} ${what} made in ${((performance.now() - began) / 1000).toFixed(0)} s`);
}

const padded = (number) => String(number).padStart(7, '0');

/** Milliseconds until `shown` is seen after `act`, and the longest task of the page meanwhile: the middle of some rounds. */
async function measured(what, round) {
    const took = [];
    for (let count = 0; count < ROUNDS; count += 1) took.push(await round(count));
    const middle = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];
    const [time, frozen] = [middle(took.map(([time]) => time)), Math.max(...took.map(([, frozen]) => frozen))];
    console.log(`${what}: ${time.toFixed(0)} ms; the page was frozen for ${frozen.toFixed(0)} ms at most`);
}

const browser = await chromium.launch(browserOptions());
const world = new World(browser);
await world.begin();
const { token } = world;
await fill('stores', STORES, (at) => send('POST', `/v2/key-value-stores?name=store-${padded(at)}`, '', token));
const { id } = await world.api('POST', '/v2/key-value-stores?name=large', {});
await fill('records', KEYS, (at) => send('PUT', `/v2/key-value-stores/${id}/records/item-${padded(at)}`, 'x', token));

/** The longest task since the last time this was asked. */
const frozen = () =>
    world.page.evaluate(async () => {
        await new Promise((resolve) => {
            requestAnimationFrame(() => setTimeout(resolve, 50));
        });
        const longest = Math.max(0, ...(globalThis.tasks ?? []).map(({ duration }) => duration));
        globalThis.tasks = [];
        return longest;
    });
await world.context.addInitScript(() => {
    globalThis.tasks = [];
    new PerformanceObserver((list) => globalThis.tasks.push(...list.getEntries())).observe({
        type: 'longtask',
        buffered: true,
    });
});

async function timed(act, shown) {
    await frozen().catch(() => 0);
    const began = performance.now();
    await act();
    await world.page.getByText(shown, { exact: true }).first().waitFor();
    return [performance.now() - began, await frozen()];
}

const { page } = world;
await world.open('/');
await page.getByText('large', { exact: true }).first().waitFor({ timeout: 60_000 });
await measured('100,000 stores: first rows', () => timed(() => page.goto(`${url}/console/`), 'large'));
await measured('100,000 stores: a page in the middle', (round) => {
    const offset = Math.floor(STORES / 2) + round * 50;
    return timed(
        () => page.goto(`${url}/console/?offset=${offset}`),
        new RegExp(`^${(offset + 1).toLocaleString('en')}–`),
    );
});
await page.goto(`${url}/console/`);
await measured('100,000 stores: a search, until its rows are shown', (round) => {
    const wanted = `store-${padded(Math.floor(STORES / 8) + round)}`;
    return timed(() => page.getByLabel('Search stores').fill(wanted.slice(6)), wanted);
});
await measured('1,000,000 keys: first rows', () =>
    timed(() => page.goto(`${url}/console/key-value-stores/${id}`), `item-${padded(0)}`),
);
await measured('1,000,000 keys: the next page', (round) =>
    timed(() => page.getByRole('button', { name: 'Next page' }).click(), `item-${padded((round + 1) * 100)}`),
);
await measured('1,000,000 keys: a page far behind', (round) => {
    const after = Math.floor(KEYS * 0.9) + round;
    return timed(
        () => page.goto(`${url}/console/key-value-stores/${id}?after=item-${padded(after)}`),
        `item-${padded(after + 1)}`,
    );
});
await page.goto(`${url}/console/key-value-stores/${id}`);
await measured('1,000,000 keys: a search by prefix, until its rows are shown', (round) => {
    const wanted = `item-${padded(Math.floor(KEYS / 2) + round * 10)}`;
    return timed(() => page.getByLabel(/Search records/).fill(wanted.slice(0, -1)), wanted);
});
await measured('1,000,000 keys: scrolling through a page', async () => {
    await frozen();
    const began = performance.now();
    for (let step = 0; step < 20; step += 1) await page.mouse.wheel(0, 300);
    return [performance.now() - began, await frozen()];
});
await browser.close();
console.log(`as ${adminToken === token ? 'the administrator' : 'a user'}, with ${await browser.version()}`);
process.exit(0);
