// Tokens, environments and users.

import assert from 'node:assert/strict';

import { adminToken, until, url } from '../world.mjs';

async function tokenShown(page) {
    const shown = page.getByRole('dialog', { name: 'Your new token' });
    await shown.waitFor();
    const token = await shown.getByLabel('token', { exact: true }).innerText();
    await shown.getByRole('button', { name: 'I have it' }).click();
    return token;
}

const status = async (token, path = '/v2/key-value-stores') =>
    (await fetch(url + path, { headers: { Authorization: `Bearer ${token}` } })).status;

export const accounts = {
    async 'a token is made, shown once, fills the environment, and is revoked'(world) {
        await world.open('/integrations');
        const { page } = world;
        await page.getByRole('button', { name: 'Create token' }).click();
        const dialog = page.getByRole('dialog', { name: 'Create token' });
        await dialog.getByLabel('Name', { exact: true }).fill('laptop');
        await dialog.getByLabel('Expires').selectOption('In 30 days');
        await world.accessible();
        await dialog.getByRole('button', { name: 'Create' }).click();
        const token = await tokenShown(page);
        assert.equal(await status(token), 200);
        const row = page.getByRole('row', { name: /laptop/ });
        await row.getByText(/in (29|30) days|in 1 mo/).waitFor();
        for (const [tab, line] of [
            ['SDK, JavaScript', `export APIFY_API_BASE_URL=${url}`],
            ['SDK, Python', `export APIFY_TOKEN=${token}`],
            ['Crawlee', 'larder run --open-stores'],
            ['Apify CLI', `apify login --token ${token}`],
            ['curl', `${url}/v2/key-value-stores`],
        ]) {
            await page.getByRole('tab', { name: tab }).click();
            const text = await page.getByRole('tabpanel', { name: tab }).locator('pre').innerText();
            assert.ok(text.includes(line), `${tab}: ${text}`);
        }
        await world.accessible();
        await row.getByRole('button', { name: 'Revoke laptop' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
        await page.getByText('Token revoked').waitFor();
        await row.waitFor({ state: 'detached' });
        await until('it is not let in', async () => (await status(token)) === 401);
    },

    async 'a token for one store opens that store only, and is replaced'(world) {
        const [mine, other] = [await world.store({ name: 'mine' }), await world.store({ name: 'other' })];
        await world.open('/integrations');
        const { page } = world;
        await page.getByRole('button', { name: 'Create token' }).click();
        await page.getByLabel('Name', { exact: true }).fill('reader');
        await page.getByLabel(/Selected stores/).check();
        await page.getByLabel('Name or id').fill('mine');
        await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
        const token = await tokenShown(page);
        assert.deepEqual([await status(token, mine.path), await status(token, other.path)], [200, 403]);
        await page.getByText('read mine').waitFor();
        await page.getByRole('button', { name: 'Replace reader' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Replace' }).click();
        const next = await tokenShown(page);
        assert.ok(
            next !== token && (await status(next, mine.path)) === 200 && (await status(token, mine.path)) === 200,
        );
    },

    async 'the administrator creates a user with a token and a quota, and disables the user'(world) {
        const name = `baker-${world.username.slice(5)}`;
        await world.open('/users', { token: adminToken });
        const { page } = world;
        await page.getByRole('button', { name: 'Create user' }).click();
        await page.getByLabel('User name').fill(name);
        await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
        const dialog = page.getByRole('dialog', { name: `Create token for ${name}` });
        await dialog.getByLabel('Name', { exact: true }).fill('first');
        await dialog.getByRole('button', { name: 'Create' }).click();
        const token = await tokenShown(page);
        assert.equal(await status(token), 200);
        await page.getByRole('button', { name: `Settings of ${name}` }).click();
        await page.getByLabel('Stores', { exact: true }).fill('0');
        await world.accessible();
        await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
        await page.getByText('Saved').waitFor();
        const refused = await fetch(`${url}/v2/key-value-stores`, {
            method: 'POST',
            headers: { Authorization: `Bearer ${token}` },
        });
        assert.equal(refused.status, 403);
        const row = page.getByRole('row', { name: new RegExp(name) });
        await row.getByRole('button', { name: 'Lock out' }).click();
        await row.getByText('locked out').waitFor();
        await until('the user is disabled', async () => (await status(token)) === 401);
        await row.getByRole('button', { name: 'Let in' }).click();
        await until('the user is enabled', async () => (await status(token)) === 200);
        await world.accessible();
    },
};
