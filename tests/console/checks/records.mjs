// A store's records: listed, found, uploaded, downloaded, changed and deleted.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { inflateRawSync } from 'node:zlib';

import { until, url } from '../world.mjs';

/** Files as a person chooses them. */
const file = (name, text, mimeType = '') => ({ name, mimeType, buffer: Buffer.from(text) });

/** Returns the contents of a ZIP file, by its directory; all in it is deflated, and smaller than 4 GiB. */
function entries(zip) {
    const found = {};
    const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
    let at = zip.readUInt32LE(end + 16);
    while (zip.readUInt32LE(at) === 0x02014b50) {
        const [size, name, extra, comment] = [
            zip.readUInt32LE(at + 20),
            zip.readUInt16LE(at + 28),
            zip.readUInt16LE(at + 30),
            zip.readUInt16LE(at + 32),
        ];
        const start = zip.readUInt32LE(at + 42);
        const body = start + 30 + zip.readUInt16LE(start + 26) + zip.readUInt16LE(start + 28);
        found[zip.toString('utf8', at + 46, at + 46 + name)] = inflateRawSync(
            zip.subarray(body, body + size),
        ).toString();
        at += 46 + name + extra + comment;
    }
    return found;
}

async function downloaded(page, act) {
    const [download] = await Promise.all([page.waitForEvent('download'), act()]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
}

export const records = {
    async 'keys show with size and link, a page at a time, and are found by how they begin'(world) {
        const store = await world.store();
        const keys = Array.from({ length: 250 }, (_, number) => `item-${String(number).padStart(3, '0')}`);
        await Promise.all(keys.map((key) => store.put(key, 'x'.repeat(1536), 'text/plain')));
        await world.open(store.page);
        const { page } = world;
        const row = page.getByRole('row', { name: /item-000/ });
        await row.getByText('1.5 KiB').waitFor();
        await world.accessible();
        assert.equal(await page.getByRole('row').count(), 101);
        await page.getByRole('button', { name: 'Next page' }).click();
        await page.getByRole('link', { name: 'item-100' }).waitFor();
        await page.getByRole('button', { name: 'Next page' }).click();
        await page.getByRole('link', { name: 'item-249' }).waitFor();
        assert.ok(await page.getByRole('button', { name: 'Next page' }).isDisabled());
        await page.getByRole('button', { name: 'Previous page' }).click();
        await page.getByRole('link', { name: 'item-100' }).waitFor();
        await page.getByRole('button', { name: 'First page' }).click();
        await page.getByRole('link', { name: 'item-000' }).waitFor();
        await page.getByLabel(/Search records/).fill('item-24');
        await page.getByRole('link', { name: 'item-000' }).waitFor({ state: 'detached' });
        await page.getByRole('link', { name: 'item-249' }).waitFor();
        assert.equal(await page.getByRole('link', { name: /^item-24/ }).count(), 10);
        await page.getByLabel(/Search records/).fill('Item');
        await page.getByRole('heading', { name: 'No matching keys' }).waitFor();
    },

    async 'a copied link opens the record without a token'(world) {
        const store = await world.store();
        await store.put('note', 'salt', 'text/plain');
        await world.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url });
        await world.open(store.page);
        const { page } = world;
        const copied = async (button) => {
            await button.click();
            await page.getByText('Copied').first().waitFor();
            return fetch(await page.evaluate(() => navigator.clipboard.readText())).then((answer) => answer.text());
        };
        assert.equal(await copied(page.getByRole('button', { name: 'Copy link to note' })), 'salt');
        await page.getByRole('link', { name: 'note' }).click();
        assert.equal(await copied(page.getByRole('button', { name: 'Copy link', exact: true })), 'salt');
        const reader = await world.tokenWith({ list: true, create: false, stores: [{ id: store.id, right: 'read' }] });
        await world.open(`${store.page}?key=note`, { token: reader });
        assert.equal(await copied(page.getByRole('button', { name: 'Copy link that opens for 15 minutes' })), 'salt');
    },

    async 'collections of the schema are tabs'(world) {
        const collections = {
            shots: { title: 'Screenshots', keyPrefix: 'shot-' },
            report: { title: 'Report', key: 'REPORT' },
        };
        const store = await world.store({
            schema: { actorKeyValueStoreSchemaVersion: 1, title: 'Crawl', collections },
        });
        for (const key of ['shot-1', 'shot-2', 'REPORT', 'other']) await store.put(key, key, 'text/plain');
        await world.open(store.page);
        const { page } = world;
        await page.getByRole('link', { name: 'other' }).waitFor();
        await page.getByRole('tab', { name: 'Screenshots' }).click();
        await page.getByRole('link', { name: 'other' }).waitFor({ state: 'detached' });
        assert.equal(await page.getByRole('link', { name: /^shot-/ }).count(), 2);
        await world.accessible();
        await page.getByRole('tab', { name: 'Report' }).click();
        await page.getByRole('link', { name: 'REPORT' }).waitFor();
    },

    async 'many files are uploaded, their types known by their names, and none is written over unasked'(world) {
        const store = await world.store();
        await store.put('old.txt', 'old', 'text/plain');
        await world.open(store.page);
        const { page } = world;
        await page.getByRole('link', { name: 'old.txt' }).waitFor();
        world.expects(412);
        await page
            .getByLabel('Files to upload')
            .setInputFiles([
                file('a b.json', '{"a":1}'),
                file('page.html', '<p>hello'),
                file('old.txt', 'new'),
                file('picture.png', 'no picture'),
                file('unknown.zzz', 'bytes'),
            ]);
        const list = page.getByRole('region', { name: 'Uploads' });
        await list.getByText('Uploads finished').waitFor();
        await world.accessible();
        assert.deepEqual(await store.get('a-b.json'), {
            status: 200,
            type: 'application/json; charset=utf-8',
            text: '{"a":1}',
        });
        assert.equal((await store.get('page.html')).type, 'text/html; charset=utf-8');
        assert.equal((await store.get('picture.png')).type, 'image/png');
        assert.equal((await store.get('unknown.zzz')).type, 'application/octet-stream');
        assert.equal((await store.get('old.txt')).text, 'old');
        await list.getByText('exists already').waitFor();
        await list.getByRole('button', { name: 'Replace it' }).click();
        await until('it is replaced', async () => (await store.get('old.txt')).text === 'new');
        await page.getByRole('link', { name: 'unknown.zzz' }).waitFor();
        await list.getByRole('button', { name: 'Clear' }).click();
        await list.waitFor({ state: 'detached' });
    },

    async 'files that are dropped on the page are uploaded, with how far each is'(world) {
        const store = await world.store();
        await world.open(store.page);
        const { page } = world;
        await page.getByRole('heading', { name: 'No records yet' }).waitFor();
        const dropped = await page.evaluateHandle(() => {
            const data = new DataTransfer();
            data.items.add(new File(['flour'], 'dropped.txt', { type: 'text/plain' }));
            data.items.add(new File([new Uint8Array(3_000_000)], 'large.bin'));
            return data;
        });
        // Slow enough to be seen on its way.
        let pass;
        const held = new Promise((resolve) => {
            pass = resolve;
        });
        await page.route(/records\/large\.bin/, async (route) => {
            await held;
            await route.continue();
        });
        await page.locator('.keys').dispatchEvent('drop', { dataTransfer: dropped });
        await page.getByRole('progressbar', { name: 'Upload of large.bin' }).waitFor();
        pass();
        await page.getByText('Uploads finished').waitFor();
        assert.equal((await store.get('dropped.txt')).text, 'flour');
        assert.equal((await store.get('large.bin')).text.length, 3_000_000);
    },

    async 'an upload that is stopped leaves nothing, and goes when it is tried again'(world) {
        const store = await world.store();
        await world.open(store.page);
        const { page } = world;
        await page.route(/records\/slow\.txt/, () => {});
        await page.getByLabel('Files to upload').setInputFiles([file('slow.txt', 'late')]);
        await page.getByRole('button', { name: 'Stop slow.txt' }).click();
        await page.getByText('stopped', { exact: true }).waitFor();
        assert.deepEqual(await store.keys(), []);
        await page.unroute(/records\/slow\.txt/);
        await page.getByRole('button', { name: 'Try again' }).click();
        await page.getByRole('link', { name: 'slow.txt' }).waitFor();
        assert.equal((await store.get('slow.txt')).text, 'late');
    },

    async 'one record, several and all are downloaded'(world) {
        const store = await world.store();
        for (const key of ['a.txt', 'b.txt', 'c.txt']) await store.put(key, `content of ${key}`, 'text/plain');
        await world.open(store.page);
        const { page } = world;
        await page.getByLabel('Select a.txt').check();
        const bar = page.getByRole('region', { name: 'Selection' });
        const one = await downloaded(page, () => bar.getByRole('button', { name: 'Download' }).click());
        assert.deepEqual([one.name, one.bytes.toString()], ['a.txt', 'content of a.txt']);
        await page.getByLabel('Select c.txt').check();
        const some = await downloaded(page, () => bar.getByRole('button', { name: 'Download as ZIP' }).click());
        assert.deepEqual(entries(some.bytes), { 'a.txt': 'content of a.txt', 'c.txt': 'content of c.txt' });
        const all = await downloaded(page, () => page.getByRole('button', { name: 'Download all' }).click());
        assert.deepEqual(Object.keys(entries(all.bytes)), ['a.txt', 'b.txt', 'c.txt']);
        await page.getByRole('link', { name: 'b.txt' }).click();
        const open = await downloaded(page, () => page.getByRole('button', { name: 'Download record' }).click());
        assert.deepEqual([open.name, open.bytes.toString()], ['b.txt', 'content of b.txt']);
        assert.ok(!page.url().includes('signature'));
    },

    async 'one record and several are deleted'(world) {
        const store = await world.store();
        for (const key of ['a', 'b', 'c', 'd']) await store.put(key, key, 'text/plain');
        await world.open(store.page);
        const { page } = world;
        await page.getByLabel('Select a', { exact: true }).check();
        await page.getByLabel('Select b', { exact: true }).check();
        await page.getByRole('region', { name: 'Selection' }).getByRole('button', { name: 'Delete' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
        await page.getByText('2 records deleted').waitFor();
        await page.getByRole('link', { name: 'c', exact: true }).click();
        await page.getByRole('button', { name: 'Delete record' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
        await page.getByText('1 record deleted').waitFor();
        await page.getByRole('link', { name: 'c', exact: true }).waitFor({ state: 'detached' });
        assert.deepEqual(await store.keys(), ['d']);
    },

    async 'a record is written by hand, but never over another one'(world) {
        const store = await world.store();
        await store.json('taken', { of: 'another' });
        world.expects(412);
        await world.open(store.page);
        const { page } = world;
        await page.getByRole('button', { name: 'New record' }).click();
        const dialog = page.getByRole('dialog', { name: 'New record' });
        await dialog.getByLabel('Key').fill('taken');
        await dialog.getByLabel('Value').fill('{"mine": true}');
        await dialog.getByRole('button', { name: 'Create' }).click();
        await dialog.getByRole('alert').waitFor();
        assert.equal((await store.get('taken')).text, '{"of":"another"}');
        await dialog.getByLabel('Key').fill('free');
        await dialog.getByRole('button', { name: 'Create' }).click();
        await page.getByRole('heading', { name: 'free' }).waitFor();
        assert.deepEqual(await store.get('free'), {
            status: 200,
            type: 'application/json; charset=utf-8',
            text: '{"mine": true}',
        });
    },

    async 'an edited record is saved, unless it has changed since'(world) {
        const store = await world.store();
        await store.json('INPUT', { a: 1 });
        await world.open(`${store.page}?key=INPUT`);
        const { page } = world;
        await page.getByRole('button', { name: 'Edit' }).click();
        const area = page.getByLabel('Value of INPUT');
        await area.fill('{"a": ');
        await page.getByText('This is not JSON').waitFor();
        await world.accessible();
        assert.ok(await page.getByRole('button', { name: 'Save' }).isDisabled());
        await area.fill('{"a": 2}');
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByText('Saved').waitFor();
        assert.deepEqual(await store.get('INPUT'), {
            status: 200,
            type: 'application/json; charset=utf-8',
            text: '{"a": 2}',
        });

        await page.getByRole('button', { name: 'Edit' }).click();
        await area.waitFor();
        await store.json('INPUT', { theirs: true });
        world.expects(412);
        await area.fill('{"a": 3}');
        await area.press('Control+s');
        await page.getByText('This record has changed').waitFor();
        await world.accessible();
        assert.equal((await store.get('INPUT')).text, '{"theirs":true}');
        await page.getByRole('button', { name: 'Overwrite it' }).click();
        await page.getByText('Saved').last().waitFor();
        await until('it is saved', async () => (await store.get('INPUT')).text === '{"a": 3}');
    },
};
