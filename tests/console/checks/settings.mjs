// A store's settings, how it is shared, and its API tab.

import assert from 'node:assert/strict';

import { until, url } from '../world.mjs';

export const settings = {
    async 'a name is given and taken, and it is said what that does'(world) {
        const store = await world.store({ name: 'before' });
        await world.store({ name: 'taken' });
        await world.open(`${store.page}?tab=settings`);
        const { page } = world;
        const name = page.getByLabel('Name', { exact: true });
        await name.fill('after');
        await page.getByLabel('Title').fill('A title');
        await page.getByRole('button', { name: 'Save', exact: true }).click();
        await page.getByRole('heading', { name: 'after', level: 1 }).waitFor();
        await world.accessible();
        world.expects(409);
        await name.fill('taken');
        await page.getByRole('button', { name: 'Save', exact: true }).click();
        await page.getByRole('alert').waitFor();
        await name.fill('');
        await page.getByText('Without a name it expires 7 days after its last change').waitFor();
        await page.getByRole('button', { name: 'Save', exact: true }).click();
        await page.getByRole('heading', { name: store.id, level: 1 }).waitFor();
        const object = await store.object();
        assert.deepEqual([object.name, object.title, object.expiresAt !== null], [null, 'A title', true]);
    },

    async 'retention is changed, and a store is kept for ever in one click'(world) {
        const store = await world.store();
        await world.open(`${store.page}?tab=settings`);
        const { page } = world;
        await page.getByLabel('Retention in days').fill('30');
        await page.getByRole('button', { name: 'Save retention' }).click();
        await until('it is saved', async () => (await store.object()).retentionDays === 30);
        await page.getByText('live 30 days from then on').waitFor();
        await page.getByRole('button', { name: 'Keep forever' }).click();
        await world.accessible();
        await page.getByRole('dialog').getByRole('button', { name: 'Keep' }).click();
        await page.getByText('Named stores are kept forever').waitFor();
        assert.equal((await store.object()).expiresAt, null);
    },

    async 'general access is explained and changed'(world) {
        const store = await world.store({ name: 'open' });
        await store.put('a', 'to all', 'text/plain');
        await world.open(`${store.page}?tab=settings`);
        const { page } = world;
        await page.getByText('Anyone who knows the id can read its records').waitFor();
        await page.getByLabel(/Anyone with its id can read/).check();
        await page.getByRole('button', { name: 'Save access' }).click();
        await page.getByText('Saved').waitFor();
        assert.equal(await (await fetch(`${url}${store.path}/records/a`)).text(), 'to all');
    },

    async 'what a store has cost is shown to its owner'(world) {
        const store = await world.store({ name: 'costly' });
        await store.put('a', 'flour', 'text/plain');
        await world.open(`${store.page}?tab=settings`);
        const { page } = world;
        await page.getByRole('heading', { name: 'Usage' }).waitFor();
        await page.getByText(/[1-9]\d* object calls of class A/).waitFor();
        await page.getByText('Counted by this gateway since').waitFor();
        await world.accessible();
    },

    async 'a store is deleted where its settings are'(world) {
        const store = await world.store({ name: 'doomed' });
        await world.open(`${store.page}?tab=settings`);
        const { page } = world;
        await page.getByRole('button', { name: 'Delete store' }).click();
        await page.getByLabel(/to confirm/).fill('doomed');
        await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
        await page.getByRole('heading', { name: 'Stores', level: 1 }).waitFor();
        assert.deepEqual((await world.api('GET', '/v2/key-value-stores')).items, []);
    },

    async 'a store is shared with a user, with another right, and no longer'(world) {
        const friend = `friend-${world.username.slice(5)}`;
        await world.admin('POST', '/larder/v1/users', { username: friend });
        const { token } = await world.admin('POST', '/larder/v1/tokens', { username: friend });
        const store = await world.store({ name: 'shared' });
        const may = async () =>
            (await world.api('GET', store.path, undefined, { token }).catch(() => null))?.right ?? null;
        await world.open(`${store.page}?tab=share`);
        const { page } = world;
        await page.getByText('Not shared yet').waitFor();
        world.expects(404);
        await page.getByLabel('User name').fill('no-such-user');
        await page.getByRole('button', { name: 'Share', exact: true }).click();
        await page.getByRole('alert').waitFor();
        await page.getByLabel('User name').fill(friend);
        await page.getByRole('button', { name: 'Share', exact: true }).click();
        await page.getByText(`Shared with ${friend}`).waitFor();
        await world.accessible();
        assert.equal(await may(), 'read');
        await page.getByLabel(`Right of ${friend}`).selectOption('write');
        await until('the user may write', async () => (await may()) === 'write');
        await page.getByRole('button', { name: `Remove ${friend}` }).click();
        await page.getByText('Not shared yet').waitFor();
        assert.equal(await may(), null);
    },

    async 'links with an end are made, open what they are for, and die with the secret'(world) {
        const store = await world.store();
        await store.put('note', 'salt', 'text/plain');
        await world.open(`${store.page}?tab=share`);
        const { page } = world;
        const link = async (label) => {
            const snippet = page.getByLabel(label, { exact: true });
            await snippet.waitFor();
            return snippet.innerText();
        };
        await page.getByLabel('Valid for').selectOption('1 hour');
        await page.getByRole('button', { name: 'Create link' }).click();
        const keys = await link('Link to the list of keys');
        assert.equal((await (await fetch(keys)).json()).data.items[0].key, 'note');
        assert.equal((await fetch(await link('Link to the ZIP file'))).headers.get('content-type'), 'application/zip');
        await world.accessible();
        await page.getByLabel('Key of a record').fill('note');
        await page.getByLabel('Valid for').selectOption('For ever');
        await page.getByRole('button', { name: 'Create link' }).click();
        const record = await link('Link to the record');
        assert.equal(await (await fetch(record)).text(), 'salt');
        await page.getByRole('button', { name: 'Rotate secret' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click();
        await page.getByText('all signed links are revoked').waitFor();
        assert.deepEqual([(await fetch(keys)).status, (await fetch(record)).status], [403, 403]);
    },

    async 'every endpoint has ready lines, and is tried with its real answer'(world) {
        const store = await world.store();
        await store.json('INPUT', { a: 1 });
        await world.open(`${store.page}?tab=api`);
        const { page } = world;
        const endpoint = (name) => page.locator('details').filter({ has: page.getByText(name, { exact: true }) });
        await endpoint('Get record').getByText('Get record', { exact: true }).click();
        const record = endpoint('Get record');
        assert.match(
            await record.getByLabel('Get record, curl', { exact: true }).innerText(),
            new RegExp(`curl .*\\n.*${store.id}/records/INPUT`),
        );
        await record.getByLabel('Key').fill('INPUT');
        await record.getByRole('button', { name: 'Send' }).click();
        await record.getByText('200 OK').waitFor();
        assert.match(
            await record.getByLabel('Response').innerText(),
            /Content-Type: application\/json; charset=utf-8[^]*"a": 1/,
        );
        await page.getByRole('tab', { name: 'Python' }).click();
        assert.match(
            await record.getByLabel('Get record, python', { exact: true }).innerText(),
            /store\.get_record\('INPUT'\)/,
        );
        await world.accessible();
        world.expects(404);
        await record.getByLabel('Key').fill('absent');
        await record.getByRole('button', { name: 'Send' }).click();
        await record.getByText('404 Not Found').waitFor();
        await record.getByText('record-not-found').waitFor();
        const write = endpoint('Write record');
        await write.getByText('Write record', { exact: true }).click();
        await write.getByLabel('Key').fill('OUTPUT');
        await write.getByRole('button', { name: 'Send' }).click();
        await page.getByRole('dialog', { name: 'Write record' }).getByRole('button', { name: 'Send' }).click();
        await write.getByText('201 Created').waitFor();
        assert.equal((await store.get('OUTPUT')).text, '{"hello": "world"}');
        assert.ok(!(await page.content()).includes(world.token));
    },
};
