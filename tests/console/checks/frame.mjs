// The frame around every page: headers, sign-in and sign-out, navigation, and error messages.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { adminToken, url } from '../world.mjs';

const require = createRequire(import.meta.url);

/** The vendored files, the packages that they come from, and what is different about them. */
const VENDORED = {
    'preact.js': ['preact/dist/preact.mjs', (text) => text],
    'hooks.js': ['preact/hooks/dist/hooks.mjs', (text) => text.replace('from"preact"', 'from"./preact.js"')],
    'htm.js': ['htm/dist/htm.mjs', (text) => text],
    'pdf/pdf.min.mjs': ['pdfjs-dist/build/pdf.min.mjs', (text) => text],
    'pdf/pdf.worker.min.mjs': ['pdfjs-dist/build/pdf.worker.min.mjs', (text) => text],
};

const withoutMap = (text) => text.replace(/\/\/# sourceMappingURL=.*\n?$/, '').trimEnd();

export const frame = {
    async 'what is vendored is what npm ships'() {
        const modules = require.resolve('axe-core').split('/axe-core/')[0];
        for (const [file, [source, change]] of Object.entries(VENDORED)) {
            const shipped = await readFile(`${modules}/${source}`, 'utf8');
            const ours = await readFile(new URL(`../console/vendor/${file}`, import.meta.url), 'utf8');
            assert.equal(withoutMap(ours), withoutMap(change(shipped)), file);
        }
        const told = await readFile(new URL('../console/vendor/README.md', import.meta.url), 'utf8');
        for (const name of ['preact', 'htm', 'pdfjs-dist']) {
            const { version } = JSON.parse(await readFile(`${modules}/${name}/package.json`, 'utf8'));
            assert.ok(told.includes(`${name} ${version}`), `console/vendor/README.md names ${name} ${version}`);
        }
        for (const font of await readdir(new URL('../console/vendor/pdf/standard_fonts/', import.meta.url))) {
            const [ours, shipped] = await Promise.all([
                readFile(new URL(`../console/vendor/pdf/standard_fonts/${font}`, import.meta.url)),
                readFile(`${modules}/pdfjs-dist/standard_fonts/${font}`),
            ]);
            assert.equal(
                createHash('sha256').update(ours).digest('hex'),
                createHash('sha256').update(shipped).digest('hex'),
                font,
            );
        }
    },

    async 'every file comes with strict headers and a tag that saves sending it again'() {
        for (const path of [
            '/console/',
            '/console/key-value-stores/x',
            '/console/app/main.js',
            '/console/style/base.css',
        ]) {
            const answer = await fetch(url + path);
            const policy = answer.headers.get('content-security-policy');
            assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/, path);
            assert.doesNotMatch(policy, /unsafe|\*|https?:/, path);
            assert.equal(answer.headers.get('x-content-type-options'), 'nosniff', path);
            assert.equal(answer.headers.get('referrer-policy'), 'no-referrer', path);
            assert.equal(answer.headers.get('cache-control'), 'no-cache', path);
            const again = await fetch(url + path, { headers: { 'If-None-Match': answer.headers.get('etag') } });
            assert.equal(again.status, 304, path);
        }
        const shown = await fetch(`${url}/`, { headers: { Accept: 'text/html' }, redirect: 'manual' });
        assert.equal(shown.headers.get('location'), '/console/');
        // A response that contains a token must not be cached.
        const made = await fetch(`${url}/larder/v1/tokens`, {
            method: 'POST',
            headers: { Authorization: `Bearer ${adminToken}` },
        });
        assert.match(made.headers.get('cache-control') ?? '', /no-store/);
    },

    async 'a user signs in, is shown, and signs out'(world) {
        const { page } = world;
        world.expects(401);
        await page.goto(`${url}/console/key-value-stores`);
        await world.accessible();
        await page.getByLabel('Token').fill('larder_wrong');
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.getByRole('alert').waitFor();
        await page.getByLabel('Token').fill(world.token);
        await page.getByLabel('Token').press('Enter');
        await page.getByRole('heading', { name: 'Stores', level: 1 }).waitFor();
        await page.getByText(world.username).waitFor();
        await world.accessible();
        assert.ok(!page.url().includes(world.token) && !(await page.content()).includes(world.token));
        assert.equal(await page.evaluate(() => localStorage.getItem('larder.token')), null);
        await page.reload();
        await page.getByText(world.username).waitFor();
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.getByLabel('Token').waitFor();
        assert.equal(await page.evaluate(() => sessionStorage.length), 0);
        await page.reload();
        await page.getByLabel('Token').waitFor();
    },

    async 'a token that is revoked ends the session and says so'(world) {
        world.expects(401);
        const [first] = (await world.api('GET', '/larder/v1/tokens')).items;
        await world.open('/');
        await world.page.getByRole('heading', { name: 'Stores', level: 1 }).waitFor();
        await world.api('DELETE', `/larder/v1/tokens/${first.id}`);
        await world.page.getByRole('button', { name: 'Refresh' }).click();
        await world.page.getByText('The token is no longer valid').waitFor();
    },

    async 'a token that may only read is offered nothing else'(world) {
        const store = await world.store({ name: 'kept' });
        await store.json('a', { b: 1 });
        const token = await world.tokenWith({ list: true, create: false, stores: [{ name: 'kept', right: 'read' }] });
        await world.open(`${store.page}?key=a`, { token });
        const { page } = world;
        await page.getByText('limited token').waitFor();
        await page.getByText('read only').waitFor();
        await page.getByRole('tree').waitFor();
        for (const name of ['Upload', 'New record', 'Edit', 'Delete record']) {
            assert.equal(await page.getByRole('button', { name }).count(), 0, name);
        }
        await page.getByRole('tab', { name: 'Settings' }).click();
        await page.getByText('You need write access').waitFor();
        assert.equal(await page.getByRole('button', { name: 'Delete store' }).count(), 0);
        await page.goto(`${url}/console/integrations`);
        await page.getByText('limited token, which cannot create').waitFor();
        await world.accessible();
        await page.goto(`${url}/console/users`);
        await page.getByText('Only the administrator sees users').waitFor();
    },

    async 'an expired store and a store of another user are distinguished from a failure'(world) {
        const brief = await world.store({ retentionDays: 1.5 / 86_400 });
        const { id } = await world.admin('POST', '/v2/key-value-stores', {});
        await new Promise((resolve) => {
            setTimeout(resolve, 3600);
        });
        world.expects(404);
        world.expects(403);
        await world.open(brief.page);
        await world.page.getByRole('heading', { name: 'Store not found' }).waitFor();
        await world.accessible();
        await world.open(`/key-value-stores/${id}`);
        await world.page.getByText('Ask the owner to share it with you').waitFor();
        await world.page.getByText('Request').waitFor();
        await world.accessible();
    },

    async 'a gateway that goes away and comes back is waited for'(world) {
        await world.store({ name: 'one' });
        await world.open('/');
        const { page, context } = world;
        await page.getByRole('link', { name: 'one' }).waitFor();
        world.expectsComplaint('net::ERR_INTERNET_DISCONNECTED');
        await context.setOffline(true);
        await page.getByRole('button', { name: 'Refresh' }).click();
        await page.getByText('The gateway does not respond. Trying again').waitFor();
        assert.ok(await page.getByRole('link', { name: 'one' }).isVisible(), 'what was shown stays');
        await world.store({ name: 'two' });
        await context.setOffline(false);
        await page.getByRole('link', { name: 'two' }).waitFor();
        assert.equal(await page.getByText('The gateway does not respond').count(), 0);
    },

    async 'an address that means nothing says so, and every page has one'(world) {
        await world.open('/nowhere/at/all');
        const { page } = world;
        await page.getByRole('heading', { name: 'No such page' }).waitFor();
        for (const [link, heading] of [
            ['Runs', 'Runs'],
            ['Integrations', 'Integrations'],
            ['Stores', 'Stores'],
        ]) {
            await page.getByRole('navigation').getByRole('link', { name: link }).click();
            await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
        }
        await page.goBack();
        await page.getByRole('heading', { name: 'Integrations', level: 1 }).waitFor();
        assert.match(await page.title(), /Integrations/);
    },

    async 'the colours are the system’s until the user chooses others'(world) {
        await world.open('/');
        const { page } = world;
        const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        await page.emulateMedia({ colorScheme: 'light' });
        await page.getByRole('button', { name: 'Dark colours' }).waitFor();
        const light = await paper();
        await page.emulateMedia({ colorScheme: 'dark' });
        await page.getByRole('button', { name: 'Light colours' }).waitFor();
        assert.notEqual(await paper(), light);
        await page.getByRole('button', { name: 'Light colours' }).click();
        assert.equal(await paper(), light);
        await page.reload();
        await page.getByRole('button', { name: 'Dark colours' }).waitFor();
        assert.equal(await paper(), light);
    },

    async 'a phone shows all of it without going sideways'(world) {
        const store = await world.store({ name: 'a-store-with-quite-a-long-name-that-has-to-fit-somewhere' });
        await store.json('a-key-that-is-much-longer-than-any-phone-is-wide-'.repeat(3), {
            deep: { value: 'x'.repeat(400) },
        });
        await world.context_({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
        const [key] = await store.keys();
        for (const path of [
            '/',
            store.page,
            `${store.page}?key=${key}`,
            `${store.page}?tab=settings`,
            `${store.page}?tab=share`,
            `${store.page}?tab=api`,
            '/runs',
            '/integrations',
        ]) {
            await world.open(path);
            await world.page.getByRole('heading', { level: 1 }).waitFor();
            await world.page.waitForLoadState('networkidle');
            const [wide, window] = await world.page.evaluate(() => [
                document.documentElement.scrollWidth,
                document.documentElement.clientWidth,
            ]);
            assert.ok(wide <= window, `${path} is ${wide} wide in a window of ${window}`);
            await world.accessible();
        }
    },

    async 'the keyboard is enough to get anywhere'(world) {
        await world.store({ name: 'pantry' });
        await world.open('/');
        const { page } = world;
        await page.getByRole('link', { name: 'pantry' }).waitFor();
        await page.keyboard.press('Tab');
        assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the page');
        await page.keyboard.press('Enter');
        assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
        for (
            let steps = 0;
            steps < 20 && (await page.evaluate(() => document.activeElement.textContent.trim())) !== 'pantry';
            steps += 1
        ) {
            await page.keyboard.press('Tab');
        }
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { name: 'pantry', level: 1 }).waitFor();
        await page.getByRole('tab', { name: 'Records' }).focus();
        await page.keyboard.press('ArrowRight');
        await page.getByRole('heading', { name: 'Retention' }).waitFor();
        assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Settings');
    },
};
