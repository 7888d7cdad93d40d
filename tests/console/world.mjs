// Environment of a check of the console: a user with a token of their own, a browser without state, and guards that no
// page gets past.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const { LARDER_URL: url, LARDER_TOKEN: adminToken, CHROMIUM: executablePath } = process.env;
for (const [name, value] of Object.entries({ LARDER_URL: url, LARDER_TOKEN: adminToken, CHROMIUM: executablePath })) {
    if (!value) {
        console.error(`${name} is not set (cargo xtask test console sets it)`);
        process.exit(2);
    }
}
export { url, adminToken };

/** Timeout for anything on a page to show. */
const PAGE_TIMEOUT_MS = 15_000;

/** Number of looks at a page that may still be changing, and the interval between them. */
const SETTLING_ROUNDS = 4;
const SETTLING_MS = 250;

const axe = createRequire(import.meta.url)('axe-core');

/** Returns the launch options of the browser; without its own sandbox where it would refuse, as root. */
export function browserOptions() {
    return { executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] };
}

/** Runs a check in a world of its own. */
export async function world(browser, name, check) {
    const made = new World(browser);
    await made.begin();
    try {
        await check(made);
        made.holdsGuards();
    } catch (error) {
        error.message += await made.evidence(name);
        throw error;
    } finally {
        await made.end();
    }
}

export class World {
    /** Errors in the browser that no check expects. */
    complaints = [];
    expected = new Set();
    expectedTexts = [];

    constructor(browser) {
        this.browser = browser;
    }

    async begin() {
        this.username = `user-${randomBytes(6).toString('hex')}`;
        await this.admin('POST', '/larder/v1/users', { username: this.username });
        this.token = await this.tokenWith(null);
        await this.context_({});
    }

    /** A browser with another window, in place of the one before. */
    async context_(options) {
        await this.context?.close();
        this.context = await this.browser.newContext({ acceptDownloads: true, ...options });
        this.context.setDefaultTimeout(PAGE_TIMEOUT_MS);
        this.context.on('request', (request) => this.watch(request));
        this.context.on('page', (page) => this.guard(page));
        this.page = await this.context.newPage();
    }

    guard(page) {
        page.on('pageerror', (error) => this.complaints.push(`uncaught: ${error.stack ?? error}`));
        page.on('console', (message) => {
            if (message.type() !== 'error') return;
            const text = message.text();
            const status = /^Failed to load resource: the server responded with a status of (\d+)/.exec(text)?.[1];
            const isExpected =
                (status && this.expected.has(Number(status))) || this.expectedTexts.some((part) => text.includes(part));
            if (!isExpected) this.complaints.push(`console: ${text} (${message.location().url})`);
        });
    }

    watch(request) {
        const { protocol, origin } = new URL(request.url());
        if (!['data:', 'blob:', 'about:'].includes(protocol) && origin !== url)
            this.complaints.push(`asked ${request.url()}`);
    }

    /** Says that answers of this status belong to the check. */
    expects(status) {
        this.expected.add(status);
    }

    /** Says that the browser may complain of this. */
    expectsComplaint(part) {
        this.expectedTexts.push(part);
    }

    /** Fails if the browser complained of anything. */
    holdsGuards() {
        assert.deepEqual(this.complaints, []);
    }

    /** Opens a page of the console, signed in. */
    async open(path, { token = this.token } = {}) {
        await this.page.goto(`${url}/console/`);
        await this.page.evaluate((kept) => sessionStorage.setItem('larder.token', kept), token);
        await this.page.goto(`${url}/console${path}`);
    }

    /** Fails on any violation of level serious or above, in light and in dark, that is still there when the page has settled. */
    async accessible() {
        for (const colorScheme of ['light', 'dark']) {
            await this.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
            await this.page.waitForFunction((theme) => document.documentElement.dataset.theme === theme, colorScheme);
            await this.page.evaluate(axe.source);
            let told = await this.violations();
            for (let again = 0; again < SETTLING_ROUNDS && told.length > 0; again += 1) {
                await this.page.waitForTimeout(SETTLING_MS);
                told = await this.violations();
            }
            assert.deepEqual(told, [], `${this.page.url()} in ${colorScheme}`);
        }
    }

    /** Returns the grave violations that axe-core finds on the page as it is now. */
    async violations() {
        const { violations } = await this.page.evaluate(() =>
            globalThis.axe.run(document, { resultTypes: ['violations'] }),
        );
        const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        return grave.map(({ id, help, nodes }) => {
            const where = nodes.map((node) => `${node.html} ${node.failureSummary}`);
            return `${id}: ${help}: ${where.join('; ')}`;
        });
    }

    /** The API, by a token. */
    async api(method, path, body, { token = this.token, headers = {} } = {}) {
        const isJson = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
        const answer = await fetch(url + path, {
            method,
            headers: {
                Authorization: `Bearer ${token}`,
                ...(isJson ? { 'Content-Type': 'application/json' } : {}),
                ...headers,
            },
            body: isJson ? JSON.stringify(body) : body,
        });
        const text = await answer.text();
        assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
        return text && answer.headers.get('content-type')?.startsWith('application/json')
            ? (JSON.parse(text).data ?? JSON.parse(text))
            : text;
    }

    admin(method, path, body) {
        return this.api(method, path, body, { token: adminToken });
    }

    /** A token of this user with a limit. */
    async tokenWith(scope) {
        return (await this.admin('POST', '/larder/v1/tokens', { username: this.username, scope })).token;
    }

    /** A store of this user. */
    async store(settings = {}) {
        const { name, ...rest } = settings;
        const store = await this.api('POST', `/v2/key-value-stores${name ? `?name=${name}` : ''}`, rest);
        return new Store(this, store.id);
    }

    /** Describes the state of the page, and saves a screenshot. */
    async evidence(name) {
        const folder = fileURLToPath(new URL('failed/', import.meta.url));
        mkdirSync(folder, { recursive: true });
        const file = `${folder}${name.replace(/[^a-z0-9]+/gi, '-').slice(0, 80)}.png`;
        const saved = await this.page.screenshot({ path: file }).then(
            () => `\nscreenshot: ${file}`,
            () => '',
        );
        return `\nat ${this.page.url()}${saved}${this.complaints.length > 0 ? `\n${this.complaints.join('\n')}` : ''}`;
    }

    async end() {
        await this.context?.close();
    }
}

/** A store, by the API. */
export class Store {
    constructor(owner, id) {
        this.world = owner;
        this.id = id;
        this.path = `/v2/key-value-stores/${id}`;
        this.page = `/key-value-stores/${id}`;
    }

    put(key, body, type) {
        return this.world.api('PUT', `${this.path}/records/${key}`, body, { headers: { 'Content-Type': type } });
    }

    json(key, value) {
        return this.put(key, JSON.stringify(value), 'application/json; charset=utf-8');
    }

    async get(key) {
        const answer = await fetch(`${url}${this.path}/records/${key}`, {
            headers: { Authorization: `Bearer ${this.world.token}` },
        });
        return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
    }

    async keys() {
        return (await this.world.api('GET', `${this.path}/keys`)).items.map(({ key }) => key);
    }

    object() {
        return this.world.api('GET', this.path);
    }
}

/** Waits until something is so. */
export async function until(what, holds, patience = PAGE_TIMEOUT_MS) {
    const deadline = Date.now() + patience;
    while (!(await holds())) {
        assert.ok(Date.now() < deadline, `${what} within ${patience} ms`);
        await new Promise((resolve) => {
            setTimeout(resolve, 50);
        });
    }
}
