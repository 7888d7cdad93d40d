// Stored pages and drawings with script in them, opened in every way that the console and the API offer: none of them may read the token,
// call the API, or reach the page around it.

import assert from 'node:assert/strict';

import { until, url } from '../world.mjs';

/** Tries everything, and tells what it got, to whoever listens. */
const SCRIPT = `
(async () => {
    const got = ['script'];
    const attempt = async (name, act) => { try { const value = await act(); if (value) got.push(name + ':' + value); } catch {} };
    await attempt('session', () => sessionStorage.getItem('larder.token'));
    await attempt('local', () => localStorage.getItem('larder.secret'));
    await attempt('parent', () => parent !== window && parent.document.title);
    await attempt('parent-token', () => parent !== window && parent.sessionStorage.getItem('larder.token'));
    await attempt('opener', () => opener && opener.sessionStorage.getItem('larder.token'));
    await attempt('api', async () => (await fetch('/v2/users/me')).status);
    await attempt('worker', async () => (await navigator.serviceWorker.register('worker.js')).scope);
    for (const target of [parent, opener, top]) { try { target.postMessage({ larderAttack: got }, '*'); } catch {} }
    try { await fetch('/larder-attack?got=' + encodeURIComponent(got.join(','))); } catch {}
    try { new Image().src = '/larder-attack?got=' + encodeURIComponent(got.join(',')); } catch {}
})();`;

const HTML = `<!doctype html><title>attack</title><p id="shown">shown</p><script>${SCRIPT}</script>
<img src="absent" onerror="${'new Image().src=`/larder-attack?got=onerror`'}"><form action="/larder-attack" method="get"><input name="got" value="form"></form>
<script>setTimeout(() => document.forms[0].submit(), 250)</script><meta http-equiv="refresh" content="1;url=javascript:fetch('/larder-attack?got=refresh')">`;

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="fetch('/larder-attack?got=onload')"><rect width="9" height="9"/><script>${SCRIPT.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</script></svg>`;

const XHTML = `<html xmlns="http://www.w3.org/1999/xhtml"><head><title>attack</title></head><body><script>${SCRIPT.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</script></body></html>`;

/** Records, their types and what is in them: also types that browsers guess about, or know by other names. */
const RECORDS = {
    'page.html': ['text/html; charset=utf-8', HTML],
    'odd.html': ['TEXT/HTML;charset=x', HTML],
    'page.xhtml': ['application/xhtml+xml', XHTML],
    'page.xml': ['text/xml', XHTML],
    'feed.xml': ['application/rss+xml', XHTML],
    'drawing.svg': ['image/svg+xml', SVG],
    'drawing2.svg': ['IMAGE/SVG+XML', SVG],
    'plain.txt': ['text/plain', HTML],
    'data.json': ['application/json', HTML],
    'no-type': ['application/octet-stream', HTML],
    unknown: ['x/y', HTML],
    mixed: ['multipart/x-mixed-replace; boundary=a', `--a\r\nContent-Type: text/html\r\n\r\n${HTML}\r\n--a--`],
    'picture.png': ['image/png', HTML],
    'worker.js': ['text/javascript', 'self.onfetch = () => {};'],
};

async function hostile(world) {
    const store = await world.store({ name: 'hostile' });
    for (const [key, [type, text]] of Object.entries(RECORDS)) await store.put(key, text, type);
    return store;
}

/** What reached the outside: requests that only the attack makes, and messages to the page. */
function listen(world) {
    const got = [];
    world.context.on('request', (request) => {
        const { pathname, search } = new URL(request.url());
        if (pathname === '/larder-attack') got.push(search);
        if (pathname === '/v2/users/me' && !request.headers().authorization) got.push('asked the API');
    });
    // Whatever the browser complains of here is what this is about.
    world.expectsComplaint('');
    for (const status of [400, 401, 403, 404]) world.expects(status);
    return got;
}

/** Errors of the attack's own pages are no errors of the console's. */
function forgiven(world) {
    world.complaints = world.complaints.filter((complaint) => !complaint.startsWith('uncaught:'));
}

/** Longer than anything in the attack takes. The page may be gone meanwhile: what is no page is downloaded. */
const settled = () =>
    new Promise((resolve) => {
        setTimeout(resolve, 400);
    });

export const activeContent = {
    async 'an attack gets out where nothing holds it, so that these checks can fail'(world) {
        const store = await hostile(world);
        const got = listen(world);
        const { page } = world;
        await page.route(/\/records\//, async (route) => {
            const answer = await route.fetch();
            const headers = Object.fromEntries(
                Object.entries(answer.headers()).filter(([name]) => name !== 'content-security-policy'),
            );
            await route.fulfill({ response: answer, headers });
        });
        const { url: link } = await world.api('POST', `/larder/v1/stores/${store.id}/view-link`, { key: 'page.html' });
        await world.open('/');
        await page.goto(link);
        await until('it is out', () =>
            got.some((search) => decodeURIComponent(search).includes(`session:${world.token}`)),
        );
        forgiven(world);
    },

    async 'no stored record runs a script when its link is opened'(world) {
        const store = await hostile(world);
        const got = listen(world);
        const { page } = world;
        await world.open('/');
        for (const key of Object.keys(RECORDS)) {
            const { signature } = await world.api('POST', `/larder/v1/stores/${store.id}/view-link`, { key });
            const path = `${store.path}/records/${key}?signature=${signature}`;
            for (const [way, headers] of [
                ['as it is', {}],
                ['a part', { Range: 'bytes=0-' }],
            ]) {
                await page.setExtraHTTPHeaders(headers);
                // What the browser would rather keep than show is no page.
                await page.goto(url + path).catch(() => {});
                await settled();
                assert.deepEqual(got, [], `${key}, ${way}`);
            }
            await page.setExtraHTTPHeaders({});
        }
        forgiven(world);
    },

    async 'no stored record runs a script in a frame, an object, an image or a window of this origin'(world) {
        const store = await hostile(world);
        const got = listen(world);
        const { page, context } = world;
        for (const key of Object.keys(RECORDS)) {
            const { signature } = await world.api('POST', `/larder/v1/stores/${store.id}/view-link`, { key });
            const path = `${store.path}/records/${key}?signature=${signature}`;
            await world.open('/');
            await page.evaluate((source) => {
                window.addEventListener('message', ({ data }) => {
                    if (data?.larderAttack) fetch(`/larder-attack?got=message`);
                });
                for (const [name, attribute] of [
                    ['iframe', 'src'],
                    ['object', 'data'],
                    ['embed', 'src'],
                    ['img', 'src'],
                    ['script', 'src'],
                ]) {
                    const element = document.createElement(name);
                    element[attribute] = source;
                    document.body.append(element);
                }
                navigator.serviceWorker?.register(source).then(
                    () => fetch('/larder-attack?got=worker'),
                    () => {},
                );
            }, path);
            await settled();
            const opened = context.waitForEvent('page');
            await page.evaluate((source) => {
                window.open(source);
            }, path);
            const other = await opened;
            await settled();
            await other.close();
            assert.deepEqual(
                got.filter((search) => search !== '?got=worker' || key !== 'worker.js'),
                [],
                key,
            );
        }
        forgiven(world);
    },

    async 'no stored record runs a script when the console shows it'(world) {
        const store = await hostile(world);
        const got = listen(world);
        const { page } = world;
        for (const key of Object.keys(RECORDS)) {
            await world.open(`${store.page}?key=${key}`);
            await page.getByRole('heading', { name: key, exact: true }).waitFor();
            await settled();
            if (await page.getByRole('tab', { name: 'Source' }).count()) {
                await page.getByRole('tab', { name: 'Source' }).click();
                await settled();
            }
            assert.deepEqual(got, [], key);
            assert.equal(await page.evaluate(() => sessionStorage.getItem('larder.token')), world.token);
        }
        await world.open(`${store.page}?view=gallery`);
        await settled();
        assert.deepEqual(got, [], 'the gallery');
        forgiven(world);
    },

    async 'names, titles and keys that look like pages are text'(world) {
        const got = listen(world);
        const title = '<img src=x onerror="fetch(\'/larder-attack\')">';
        const store = await world.store({ name: 'titled' });
        await world.api('PUT', store.path, { title });
        await store.json('tree', { [title]: title });
        await world.open('/');
        const { page } = world;
        await page.getByText(title).waitFor();
        await world.open(`${store.page}?key=tree`);
        await page.getByRole('tree').getByText(title).first().waitFor();
        await settled();
        assert.deepEqual(got, []);
    },
};
