// The list of stores.

import assert from 'node:assert/strict';

import { until } from '../world.mjs';

/** Maximum time until a store that has changed is counted. */
const COUNTING_MS = 120_000;

export const stores = {
    async 'how much is in a store is shown once it is counted'(world) {
        const store = await world.store({ name: 'counted' });
        await store.put('a', 'x'.repeat(2048), 'text/plain');
        await until('it is counted', async () => (await store.object()).stats.itemCount === 1, COUNTING_MS);
        await world.open('/');
        const row = world.page.getByRole('row', { name: /counted/ });
        await row.getByText('2.0 KiB').waitFor();
        await row.getByRole('cell', { name: '1', exact: true }).waitFor();
    },

    async 'a list without stores says what to do'(world) {
        await world.open('/');
        await world.page.getByRole('heading', { name: 'No named stores yet' }).waitFor();
        await world.accessible();
    },

    async 'a store is made, found under its name, and deleted once its name was typed'(world) {
        const { page } = world;
        await world.open('/');
        await page.getByRole('button', { name: 'Create store' }).click();
        const dialog = page.getByRole('dialog', { name: 'Create store' });
        await world.accessible();
        await dialog.getByLabel('Name', { exact: true }).fill('pantry');
        await dialog.getByLabel('Title').fill('What we eat');
        await dialog.getByRole('button', { name: 'Create' }).click();
        await page.getByRole('heading', { name: 'pantry', level: 1 }).waitFor();
        await page.getByText('What we eat').waitFor();
        await page.getByRole('link', { name: 'Stores' }).first().click();
        const row = page.getByRole('row', { name: /pantry/ });
        await row.waitFor();
        await row.getByText('never').waitFor();
        await row.getByRole('checkbox').check();
        await page.getByRole('region', { name: 'Selection' }).getByRole('button', { name: 'Delete' }).click();
        const confirm = page.getByRole('dialog', { name: 'Delete store' });
        assert.ok(await confirm.getByRole('button', { name: 'Delete' }).isDisabled());
        await confirm.getByLabel('Type “pantry” to confirm').fill('pantr');
        assert.ok(await confirm.getByRole('button', { name: 'Delete' }).isDisabled());
        await confirm.getByLabel('Type “pantry” to confirm').fill('pantry');
        await world.accessible();
        await confirm.getByRole('button', { name: 'Delete' }).click();
        await page.getByRole('heading', { name: 'No named stores yet' }).waitFor();
        assert.deepEqual((await world.api('GET', '/v2/key-value-stores?unnamed=true')).items, []);
    },

    async 'a name that is wrong is refused in words and nothing is made'(world) {
        const { page } = world;
        world.expects(400);
        await world.open('/');
        await page.getByRole('button', { name: 'Create store' }).click();
        await page.getByLabel('Name', { exact: true }).fill('no spaces');
        await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
        await page.getByRole('alert').getByText(/name/i).first().waitFor();
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'detached' });
        assert.deepEqual((await world.api('GET', '/v2/key-value-stores?unnamed=true')).items, []);
    },

    async 'unnamed stores show when asked for, with their end'(world) {
        const { id } = await world.store();
        await world.store({ name: 'named' });
        await world.open('/');
        const { page } = world;
        await page.getByRole('link', { name: 'named' }).waitFor();
        assert.equal(await page.getByRole('link', { name: id }).count(), 0);
        await page.getByLabel('Include unnamed stores').check();
        const row = page.getByRole('row', { name: new RegExp(id) });
        await row.getByText(/in [67] days/).waitFor();
        assert.match(page.url(), /unnamed=true/);
        await page.reload();
        await row.waitFor();
    },

    async 'search finds names and titles and says when it finds nothing'(world) {
        await world.store({ name: 'crawl-monday' });
        const titled = await world.store({ name: 'crawl-tuesday' });
        await world.api('PUT', titled.path, { title: 'The Great Crawl' });
        await world.store({ name: 'exports' });
        await world.open('/');
        const { page } = world;
        await page.getByRole('link', { name: 'exports' }).waitFor();
        await page.getByLabel('Search stores').fill('crawl');
        await page.getByRole('link', { name: 'exports' }).waitFor({ state: 'detached' });
        assert.equal(await page.getByRole('link', { name: /^crawl-/ }).count(), 2);
        await page.getByLabel('Search stores').fill('great');
        await page.getByRole('link', { name: 'crawl-monday' }).waitFor({ state: 'detached' });
        await page.getByRole('link', { name: 'crawl-tuesday' }).waitFor();
        await page.getByLabel('Search stores').fill('nothing-like-it');
        await page.getByRole('heading', { name: 'No store matches' }).waitFor();
        await world.accessible();
        await page.getByLabel('Search stores').fill('');
        await page.getByRole('link', { name: 'exports' }).waitFor();
    },

    async 'pages of stores are turned, gone back to, and several are deleted at once'(world) {
        const names = Array.from({ length: 53 }, (_, number) => `store-${String(number).padStart(2, '0')}`);
        for (const name of names) await world.store({ name });
        await world.open('/');
        const { page } = world;
        await page.getByText('1–50 of 53 stores').waitFor();
        await page.getByRole('button', { name: 'Next page' }).click();
        await page.getByText('51–53 of 53 stores').waitFor();
        assert.ok(await page.getByRole('button', { name: 'Next page' }).isDisabled());
        await page.goBack();
        await page.getByText('1–50 of 53 stores').waitFor();
        await page.goForward();
        await page.getByRole('link', { name: 'store-00' }).waitFor();
        await page.getByLabel('Select all stores on this page').check();
        await page.getByText('3 stores selected').waitFor();
        await page.getByRole('region', { name: 'Selection' }).getByRole('button', { name: 'Delete' }).click();
        await page.getByLabel(/Type “delete 3 stores”/).fill('delete 3 stores');
        await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
        await page.getByText('3 stores deleted').waitFor();
        await until('they are gone', async () => (await world.api('GET', '/v2/key-value-stores')).total === 50);
    },

    async 'what others share with me is a list of its own'(world) {
        const { id } = await world.admin('POST', `/v2/key-value-stores?name=shared-${world.username}`, {});
        await world.admin('PUT', `/larder/v1/stores/${id}/access/${world.username}`, { right: 'read' });
        await world.open('/');
        const { page } = world;
        await page.getByRole('link', { name: `shared-${world.username}` }).waitFor();
        await page.getByLabel('Whose').selectOption('Mine');
        await page.getByRole('heading', { name: 'No named stores yet' }).waitFor();
        await page.getByLabel('Whose').selectOption('Shared with me');
        await page.getByRole('link', { name: `shared-${world.username}` }).click();
        await page.getByText('read only').waitFor();
    },
};
