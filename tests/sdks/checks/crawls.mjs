// The crawls of the examples, killed twice, over a site that counts what is fetched.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { api, file, newName, python, record, run, start, token, url } from '../world.mjs';

/** Pages of the site. */
const PAGES = 200;

/** Time that the server takes for a page: long enough that a crawl is killed in its middle. */
const PAGE_MS = 15;

/** Interval between two saves of the state. */
const SAVED_EVERY_MS = 300;

/** Number of pages that the saved state must show before the crawl is killed. */
const KILLED_AT = [40, 110];

/** The site: page n leads to 2n + 1 and 2n + 2, and to its neighbours. */
class Site {
    fetched = [];

    async start() {
        this.server = createServer(async (incoming, outgoing) => {
            const page = incoming.url === '/' ? 0 : Number(/^\/page\/([1-9]\d*)$/.exec(incoming.url)?.[1]);
            if (!(page < PAGES)) return outgoing.writeHead(404).end();
            this.fetched.push(incoming.url);
            await sleep(PAGE_MS);
            outgoing.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(Site.page(page));
        });
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.url = `http://127.0.0.1:${this.server.address().port}`;
    }

    stop() {
        this.server.close();
        this.server.closeAllConnections();
    }

    static path(page) {
        return page === 0 ? '/' : `/page/${page}`;
    }

    static page(page) {
        const links = [2 * page + 1, 2 * page + 2, page + 1, page - 1].filter((link) => link >= 0 && link < PAGES);
        const anchors = links.map((link) => `<a href="${Site.path(link)}">${link}</a>`);
        return `<!doctype html>\n<p>Page ${page} has é, ✓ and ${'flour '.repeat(page)}</p>\r\n${anchors.join('\n')}\n`;
    }
}

/** The pages that are done by the state that was saved last. */
async function done(name) {
    const { status, bytes } = await api('GET', `/~${name}/records/CRAWL`);
    return status === 200 ? JSON.parse(bytes).done : [];
}

async function killedTwice(program, path) {
    const site = new Site();
    await site.start();
    try {
        const [name, kills] = [newName(), []];
        const args = [path, `${site.url}/`, name];
        const variables = {
            LARDER_URL: url,
            LARDER_TOKEN: token,
            CRAWLEE_PERSIST_STATE_INTERVAL_MILLIS: String(SAVED_EVERY_MS),
        };
        for (const enough of KILLED_AT) {
            const crawl = start(program, args, variables);
            while ((await done(name)).length < enough) {
                assert.equal(crawl.child.exitCode, null, `it ended before it could be killed:\n${crawl.all}`);
                await sleep(20);
            }
            crawl.child.kill('SIGKILL');
            assert.equal((await crawl.ended).signal, 'SIGKILL');
            // Requests that reached Larder before the kill may still be in flight, and so may fetches.
            await sleep(200);
            const before = await done(name);
            assert.ok(before.length < PAGES, 'it was killed too late');
            kills.push({ at: site.fetched.length, pages: new Set(before.map((page) => new URL(page).pathname)) });
        }
        await run(program, args, variables);
        for (const { at, pages } of kills) {
            const again = site.fetched.slice(at).filter((page) => pages.has(page));
            assert.deepEqual(again, [], 'pages that were done by the saved state were fetched again');
        }
        assert.equal((await done(name)).length, PAGES);
        assert.equal(new Set(site.fetched).size, PAGES);
        for (let page = 0; page < PAGES; page += 1) {
            const key = `page-${Site.path(page).replaceAll('/', '_')}`;
            assert.equal(String(await record(`~${name}`, key)), Site.page(page), `page ${page}`);
        }
    } finally {
        site.stop();
    }
}

export const crawls = {
    'the javascript crawl is killed twice and does nothing again': () =>
        killedTwice('node', file('./javascript/crawl.mjs')),
    'the python crawl is killed twice and does nothing again': () => killedTwice(python, file('./python/crawl.py')),
};
