// Pictures of every page, in light and dark, on a desktop and on a phone, with data as one would have them.
//
// LARDER_URL, LARDER_TOKEN and CHROMIUM as for the checks; SCREENSHOTS is the folder that they go to.

import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

import { pdf, png } from './media.mjs';
import { World, browserOptions, until } from './world.mjs';

const WINDOWS = {
    desktop: { viewport: { width: 1280, height: 800 } },
    phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

/** A page as crawls keep them. */
const ARTICLE = `<!doctype html><html><head><title>The Daily Loaf</title><style>
body { margin: 0 auto; padding: 2rem; max-width: 42rem; font: 17px/1.6 Georgia, serif; color: #222; background: #fff }
h1 { font-size: 2.2rem; line-height: 1.15; margin: 0 0 .5rem } .by { color: #777; font: 14px sans-serif } hr { border: 0; border-top: 3px double #bbb }
</style></head><body><p class="by">Thursday edition</p><hr><h1>Sourdough prices hold steady as harvest comes in</h1><p class="by">By our correspondent at the mill</p>
<p>Bakers across the county report that flour costs what it did a year ago. “We had feared worse”, says one, dusting her hands.</p>
<p>The larder, meanwhile, is full.</p></body></html>`;

const folder = process.env.SCREENSHOTS;
if (!folder) throw new Error('SCREENSHOTS is not set (cargo xtask screenshots sets it)');
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch(browserOptions());
const world = new World(browser);
world.username = 'baker';
await world.admin('POST', '/larder/v1/users', { username: world.username });
world.token = await world.tokenWith(null);
const pages = await fill();
for (const [device, options] of Object.entries(WINDOWS)) {
    for (const colorScheme of ['light', 'dark']) {
        await world.context_({ ...options, colorScheme, reducedMotion: 'reduce' });
        for (const [name, { path, act }] of Object.entries(pages)) {
            await (path === null ? world.page.goto(`${process.env.LARDER_URL}/console/`) : world.open(path));
            await world.page.waitForLoadState('networkidle');
            await act?.(world.page);
            await world.page.waitForTimeout(200);
            await world.page.screenshot({ path: `${folder}/${name}-${device}-${colorScheme}.png` });
            // The next picture is taken in a fresh session.
            await world.page.evaluate(() => sessionStorage.clear());
        }
    }
}
await browser.close();
console.log(`${Object.keys(pages).length * 4} pictures in ${folder}`);

/** Some stores as a crawl leaves them, and the pages that show them. */
async function fill() {
    const named = {};
    for (const [name, title] of [
        ['crawler-state', null],
        ['price-history', 'Prices since 2024'],
        ['monthly-exports', 'What the finance team gets'],
        ['newsroom-snapshots', 'HTML of the front pages'],
        ['product-shots', 'Screenshots of the nightly crawl'],
    ]) {
        named[name] = await world.store({ name });
        if (title) await world.api('PUT', named[name].path, { title });
    }
    const shots = named['product-shots'];
    for (let at = 0; at < 12; at += 1) {
        const colour = [40 + at * 14, 90 + ((at * 37) % 120), 70 + ((at * 53) % 140)];
        await shots.put(`shot-${String(at + 1).padStart(4, '0')}.png`, png(320, 240, colour), 'image/png');
    }
    const snapshots = named['newsroom-snapshots'];
    await snapshots.put('front-page.html', ARTICLE, 'text/html; charset=utf-8');
    await snapshots.put('menu.pdf', pdf(['Menu of the day', 'Bread and butter', 'Salted caramel']), 'application/pdf');
    await snapshots.put(
        'robots.txt',
        'User-agent: *\nDisallow: /basket/\nSitemap: https://example.com/sitemap.xml\n',
        'text/plain',
    );
    await snapshots.put(
        'raw.bin',
        Buffer.from(Array.from({ length: 900 }, (_, at) => (at * 31) % 256)),
        'application/octet-stream',
    );
    await snapshots.json('INPUT', {
        startUrls: [{ url: 'https://example.com/' }, { url: 'https://example.org/news' }],
        maxRequestsPerCrawl: 500,
        proxy: { useApifyProxy: false },
        selectors: { title: 'h1', price: '.price > span' },
        userData: null,
    });
    for (let at = 0; at < 30; at += 1)
        await snapshots.json(`page-${String(at).padStart(3, '0')}.json`, { at, url: `https://example.com/${at}` });
    const run = await world.api('POST', '/v2/acts/shop-crawler/runs', {
        startUrls: [{ url: 'https://example.com/' }],
        maxItems: 200,
    });
    await world.api('PUT', `/v2/key-value-stores/${run.defaultKeyValueStoreId}/records/OUTPUT`, {
        items: 187,
        failed: 2,
        tookSecs: 41.7,
    });
    await world.api('PUT', `/v2/actor-runs/${run.id}`, { statusMessage: 'Finished: 187 items, 2 failed pages' });
    await world.api('POST', `/larder/v1/runs/${run.id}/finish`, { exitCode: 0 });
    const failed = await world.api('POST', '/v2/acts/price-watch/runs', {});
    await world.api('POST', `/larder/v1/runs/${failed.id}/finish`, { exitCode: 1 });
    await world.api('POST', '/v2/acts/shop-crawler/runs', {});
    await world.api('POST', '/larder/v1/tokens', { name: 'laptop' });
    await world.api('POST', '/larder/v1/tokens', {
        name: 'ci',
        scope: { list: true, create: true, stores: [{ namePrefix: 'crawl-', right: 'write' }] },
    });
    const tile = (page) =>
        until('the images are there', () => page.locator('.gallery img').evaluateAll((all) => all.length >= 6));
    return {
        'sign-in': { path: null },
        stores: { path: '/' },
        'create-store': { path: '/', act: (page) => page.getByRole('button', { name: 'Create store' }).click() },
        records: { path: snapshots.page },
        json: { path: `${snapshots.page}?key=INPUT` },
        html: { path: `${snapshots.page}?key=front-page.html` },
        pdf: { path: `${snapshots.page}?key=menu.pdf` },
        bytes: { path: `${snapshots.page}?key=raw.bin` },
        image: { path: `${shots.page}?key=shot-0007.png` },
        gallery: { path: `${shots.page}?view=gallery`, act: tile },
        edit: {
            path: `${snapshots.page}?key=INPUT`,
            act: (page) => page.getByRole('button', { name: 'Edit' }).click(),
        },
        settings: { path: `${snapshots.page}?tab=settings` },
        share: { path: `${snapshots.page}?tab=share` },
        api: { path: `${snapshots.page}?tab=api`, act: (page) => page.locator('summary').nth(3).click() },
        runs: { path: '/runs' },
        run: { path: `/runs/${run.id}` },
        integrations: { path: '/integrations' },
    };
}
