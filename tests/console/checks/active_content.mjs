// Stored pages and drawings with script in them, opened in every way that the console and the API offer: none of them may read the token,
// call the API, or reach the page around it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { until, url } from '../world.mjs';

/** Script that tries everything, and reports the results to all listeners. */
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

/** Records that name another server in every way there is. */
function remote(origin) {
    const page = (place) => `<!doctype html><html><head><title>remote</title>
<link rel="dns-prefetch" href="${place}"><link rel="preconnect" href="${place}"><link rel="prefetch" href="${place}/prefetch">
<link rel="preload" as="image" href="${place}/preload"><link rel="modulepreload" href="${place}/module.js">
<link rel="stylesheet" href="${place}/sheet.css"><link rel="icon" href="${place}/icon"><link rel="manifest" href="${place}/manifest">
<meta http-equiv="refresh" content="0;url=${place}/refresh">
<style>@import url(${place}/import.css); @font-face { font-family: a; src: url(${place}/font) } body { font-family: a; background: url(${place}/background); cursor: url(${place}/cursor), auto } p::after { content: url(${place}/content) }</style>
</head><body background="${place}/body"><p style="list-style-image: url(${place}/list)">shown</p>
<img src="${place}/picture" srcset="${place}/set 2x"><picture><source srcset="${place}/source"><img alt=""></picture>
<video poster="${place}/poster" src="${place}/film" autoplay><track default src="${place}/track"></video><audio src="${place}/sound" autoplay></audio>
<iframe src="${place}/frame"></iframe><object data="${place}/object"></object><embed src="${place}/embed">
<form action="${place}/form"><input type="image" src="${place}/button" autofocus></form>
<svg xmlns="http://www.w3.org/2000/svg"><image href="${place}/image" width="9" height="9"/><use href="${place}/use#a"/></svg>
<a href="${place}/ping" ping="${place}/ping">a</a></body></html>`;
    const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><style>@import url(${origin}/import.css); rect { fill: url(${origin}/fill#a) }</style><image href="${origin}/image" width="9" height="9"/><rect width="9" height="9"/></svg>`;
    return {
        page: ['text/html; charset=utf-8', page(origin)],
        other: ['text/html', page(`${origin}/other`)],
        drawing: ['image/svg+xml', drawing],
        feed: ['text/xml', `<?xml version="1.0"?><?xml-stylesheet href="${origin}/sheet.xsl" type="text/xsl"?><a/>`],
        xhtml: ['application/xhtml+xml', page(origin)],
        notes: ['text/markdown', `![a](${origin}/picture) <img src="${origin}/picture">`],
        sheet: ['text/css', `@import url(${origin}/import.css); body { background: url(${origin}/background) }`],
        data: ['application/json', JSON.stringify({ picture: `${origin}/picture`, html: page(origin) })],
        playlist: ['audio/mpegurl', `#EXTM3U\n#EXTINF:9,\n${origin}/segment\n`],
        film: [
            'application/vnd.apple.mpegurl',
            `#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n${origin}/segment.ts\n#EXT-X-ENDLIST\n`,
        ],
    };
}

/** All that a page of this origin has to run or to style itself with something. */
const AS_CODE = {
    script: (path) => Object.assign(document.body.appendChild(document.createElement('script')), { src: path }),
    module: (path) =>
        Object.assign(document.body.appendChild(document.createElement('script')), { type: 'module', src: path }),
    import: (path) => import(path),
    style: (path) =>
        Object.assign(document.head.appendChild(document.createElement('link')), { rel: 'stylesheet', href: path }),
    worker: (path) => new Worker(path),
    'worker of modules': (path) => new Worker(path, { type: 'module' }),
    'shared worker': (path) => new SharedWorker(path),
    'service worker': (path) => navigator.serviceWorker.register(path),
};

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
    // Several types at once: browsers go by the last.
    'two-types': ['text/plain; a=b, text/html', HTML],
    'two-types.png': ['image/png;a,text/html', HTML],
    'two-types.json': ['application/json;,text/html', HTML],
    quoted: ['text/plain; a="b, text/html', HTML],
    'page.mht': ['multipart/related; boundary=a', `--a\r\nContent-Type: text/html\r\n\r\n${HTML}\r\n--a--`],
    'style.css': ['text/css', 'body { background: url(/larder-attack?got=style) }'],
    'worker.js': ['text/javascript', SCRIPT],
};

async function hostile(world) {
    const store = await world.store({ name: 'hostile' });
    for (const [key, [type, text]] of Object.entries(RECORDS)) await store.put(key, text, type);
    return store;
}

/** Collects the attack's effects outside: requests that only the attack makes, and messages to the page. */
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
                // A response that the browser downloads instead of showing is no page.
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
            }, path);
            await settled();
            const opened = context.waitForEvent('page');
            await page.evaluate((source) => {
                window.open(source);
            }, path);
            const other = await opened;
            await settled();
            await other.close();
            assert.deepEqual(got, [], key);
        }
        forgiven(world);
    },

    async 'no stored record is a script, a style or a worker of the console'(world) {
        const store = await hostile(world);
        const got = listen(world);
        const { page, context } = world;
        for (const key of ['worker.js', 'style.css']) {
            const { signature } = await world.api('POST', `/larder/v1/stores/${store.id}/view-link`, { key });
            const path = `${store.path}/records/${key}?signature=${signature}`;
            for (const [way, use] of Object.entries(AS_CODE)) {
                await world.open('/');
                await page.getByRole('heading', { name: 'Stores', level: 1 }).waitFor();
                // The browser may have it already, as something else.
                assert.equal(await page.evaluate(async (source) => (await fetch(source)).status, path), 200);
                await page.evaluate(`(async () => { try { await (${use})(${JSON.stringify(path)}); } catch {} })()`);
                await settled();
                assert.deepEqual(got, [], `${key} as ${way}`);
                const registered = await page.evaluate(
                    async () => (await navigator.serviceWorker.getRegistrations()).length,
                );
                assert.equal(registered, 0, `${key} as ${way}`);
                assert.deepEqual(context.serviceWorkers(), [], `${key} as ${way}`);
            }
        }
        forgiven(world);
    },

    async 'a stored page does not tell others its address'(world) {
        const told = [];
        const other = createServer(({ url: asked, headers: { referer } }, answer) => {
            told.push([asked, referer]);
            answer.end();
        });
        other.listen(0, '127.0.0.1');
        await once(other, 'listening');
        const origin = `http://127.0.0.1:${other.address().port}`;
        try {
            const store = await world.store();
            await store.put(
                'telltale',
                `<!doctype html><meta name="referrer" content="unsafe-url"><img src="${origin}/seen" referrerpolicy="unsafe-url">`,
                'text/html',
            );
            const { signature } = await world.api('POST', `/larder/v1/stores/${store.id}/view-link`, {
                key: 'telltale',
            });
            listen(world);
            for (const path of [
                `${store.path}/records/telltale?signature=${signature}`,
                `/console${store.page}?key=telltale`,
            ]) {
                await world.open('/');
                await world.page.goto(url + path);
                if (path.startsWith('/console'))
                    await world.page.getByRole('button', { name: 'Load remote content' }).click();
                await until('it was looked at', () => told.length > 0);
                assert.deepEqual(told.splice(0), [['/seen', undefined]], path);
            }
            // A page as it was stored shows the pictures that it names.
            world.complaints = world.complaints.filter((complaint) => !complaint.startsWith(`asked ${origin}/seen`));
        } finally {
            other.close();
            other.closeAllConnections();
        }
    },

    async 'the console loads nothing of other servers for a record until it is asked to'(world) {
        const told = [];
        const other = createServer(({ url: asked }, answer) => {
            told.push(asked);
            answer.end();
        });
        // Connections alone are not counted: a browser makes one for a hint (`preconnect`) whatever the policy of a page is.
        other.listen(0, '127.0.0.1');
        await once(other, 'listening');
        const origin = `http://127.0.0.1:${other.address().port}`;
        try {
            const store = await world.store();
            const records = remote(origin);
            for (const [key, [type, text]] of Object.entries(records)) await store.put(key, text, type);
            listen(world);
            const { page } = world;
            for (const key of Object.keys(records)) {
                await world.open(`${store.page}?key=${key}`);
                await page.getByRole('heading', { name: key, exact: true }).waitFor();
                await settled();
                assert.deepEqual(told, [], key);
            }
            await world.open(`${store.page}?view=gallery`);
            await settled();
            assert.deepEqual(told, [], 'the gallery');
            // Asked for, it is loaded: the check can fail, and the button does what it says.
            await world.open(`${store.page}?key=page`);
            await page.getByRole('button', { name: 'Load remote content' }).click();
            await until('it is loaded', () => told.includes('/picture'));
            assert.equal(await page.getByRole('button', { name: 'Load remote content' }).count(), 0);
            // Another record was not asked for. Loads of the first one may still arrive.
            await world.open(`${store.page}?key=other`);
            await page.getByRole('button', { name: 'Load remote content' }).waitFor();
            await settled();
            assert.deepEqual(
                told.filter((asked) => asked.startsWith('/other/')),
                [],
            );
            world.complaints = world.complaints.filter((complaint) => !complaint.startsWith(`asked ${origin}/`));
        } finally {
            other.close();
            other.closeAllConnections();
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
