// A record, looked at as its type wants it.

import assert from 'node:assert/strict';

import { pdf, png, wav, webm } from '../media.mjs';
import { until, url } from '../world.mjs';

const INPUT = {
    startUrls: [{ url: 'https://example.com/a' }, { url: 'https://example.com/b' }],
    maxRequests: 200,
    'odd name': { nothing: null, yes: true },
};

/** Returns the natural width of an image or a film, which shows that it has really loaded. */
const width = (locator) => locator.evaluate((element) => element.naturalWidth ?? element.videoWidth);

export const looks = {
    async 'JSON is a tree that is opened, walked by keys, searched, and copied from'(world) {
        const store = await world.store();
        const input = { ...INPUT, many: Array.from({ length: 450 }, (_, number) => ({ number })) };
        // A number that the language cannot have is shown as it is written.
        const text = JSON.stringify(input).replace('"maxRequests"', '"longId":12345678901234567890,"maxRequests"');
        await store.put('INPUT', text, 'application/json; charset=utf-8');
        await world.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url });
        await world.open(`${store.page}?key=INPUT`);
        const { page } = world;
        const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
        const tree = page.getByRole('tree');
        await tree.getByRole('treeitem', { name: /^maxRequests: 200/ }).waitFor();
        await tree.getByRole('treeitem', { name: /^longId: 12345678901234567890$/ }).waitFor();
        await world.accessible();
        assert.equal(await tree.getByRole('treeitem', { name: /^many/ }).getAttribute('aria-expanded'), 'false');
        await tree.getByRole('treeitem', { name: /^many/ }).click();
        await tree.getByRole('treeitem', { name: /^199: / }).waitFor();
        await page.getByRole('button', { name: '250 more' }).click();
        await tree.getByRole('treeitem', { name: /^399: / }).waitFor();
        await tree.getByRole('treeitem', { name: /startUrls, longId/ }).focus();
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowLeft');
        await tree.getByRole('treeitem', { name: /^startUrls/, expanded: false }).waitFor();
        await page.keyboard.press('ArrowRight');
        await tree.getByRole('treeitem', { name: /^startUrls/, expanded: true }).waitFor();
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('c');
        await page.getByText('Path copied').waitFor();
        assert.equal(await clipboard(), 'startUrls[0].url');
        await page.getByLabel('Search in this record').fill('EXAMPLE.com');
        await page.getByText('1 of 2 finds').waitFor();
        await page.getByRole('button', { name: 'Next find' }).click();
        await page.getByText('2 of 2 finds').waitFor();
        const found = tree.locator('[data-current]');
        assert.match(await found.innerText(), /example\.com\/b/);
        await found.locator('.line').hover();
        await found.getByRole('button', { name: 'value' }).click();
        await page.getByText('Value copied').waitFor();
        assert.equal(await clipboard(), 'https://example.com/b');
        await page.getByLabel('Search in this record').fill('nowhere in it');
        await page.getByText('Nothing found').waitFor();
        await page.getByRole('tab', { name: 'Source' }).click();
        await page.getByLabel('Text', { exact: true }).getByText('"maxRequests":200').waitFor();
    },

    async 'what says that it is JSON and is not is shown as it is'(world) {
        const store = await world.store();
        await store.put('broken', '{"a": ', 'application/json');
        await world.open(`${store.page}?key=broken`);
        await world.page.getByText('Declared as JSON, but not valid JSON').waitFor();
        await world.page.getByLabel('Text', { exact: true }).getByText('{"a":').waitFor();
    },

    async 'text is shown in its own charset, and only the beginning of a long one'(world) {
        const store = await world.store();
        await store.put('latin', Buffer.from('gr\xfcn', 'latin1'), 'text/plain; charset=iso-8859-1');
        await store.put('long', 'line\n'.repeat(400_000), 'text/plain');
        await world.open(`${store.page}?key=latin`);
        const { page } = world;
        await page.getByText('grün', { exact: true }).waitFor();
        await world.accessible();
        await page.getByRole('link', { name: 'Next record' }).click();
        await page.getByText('Only the first 1.0 MiB are shown').waitFor();
    },

    async 'an image is fitted, and zoomed'(world) {
        const store = await world.store();
        await store.put('shot.png', png(300, 200), 'image/png');
        await world.open(`${store.page}?key=shot.png`);
        const { page } = world;
        await page.getByText('300 × 200 pixels').waitFor();
        await world.accessible();
        const image = page.getByRole('img', { name: 'shot.png' });
        await page.getByRole('button', { name: 'Larger' }).click();
        const isWide = async (wanted) => Math.round((await image.boundingBox()).width) === wanted;
        await until('it is larger', () => isWide(450));
        await page.getByText('150 %').waitFor();
        await page.getByRole('button', { name: '100 %' }).click();
        await until('it has its own size', () => isWide(300));
    },

    async 'the images of a page are a gallery that is walked by keys'(world) {
        const store = await world.store();
        for (const [at, key] of ['a.png', 'b.png', 'c.png'].entries())
            await store.put(key, png(40 + at, 30), 'image/png');
        await store.put('plain.txt', 'no image', 'text/plain');
        await store.put('by-type', png(50, 30), 'image/png');
        await world.open(store.page);
        const { page } = world;
        await page.getByRole('button', { name: 'Show images as a gallery' }).click();
        const images = page.getByRole('group', { name: 'Images' });
        await images.getByRole('button', { name: 'by-type' }).waitFor();
        await until('all four are found', async () => (await images.getByRole('button').count()) === 4);
        await until('they are there', () =>
            images
                .locator('img')
                .evaluateAll((all) => all.length === 4 && all.every((image) => image.naturalWidth >= 40)),
        );
        await world.accessible();
        await images.getByRole('button', { name: 'a.png' }).focus();
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('Enter');
        const dialog = page.getByRole('dialog', { name: 'b.png' });
        await dialog.getByText('41 × 30 pixels').waitFor();
        await world.accessible();
        await page.keyboard.press('ArrowRight');
        await page.getByRole('dialog', { name: 'by-type' }).getByText('3 of 4').waitFor();
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'detached' });
        await page.getByRole('button', { name: 'Show as a table' }).click();
        await page.getByRole('link', { name: 'plain.txt' }).waitFor();
    },

    async 'HTML is a page in a frame that stands alone, beside its source'(world) {
        const store = await world.store();
        await store.put(
            'page.html',
            '<!doctype html><title>t</title><style>h1 { color: rgb(1, 2, 3) }</style><h1>Fresh bread</h1>',
            'text/html; charset=utf-8',
        );
        await world.open(`${store.page}?key=page.html`);
        const { page } = world;
        const heading = page.frameLocator('iframe').getByRole('heading', { name: 'Fresh bread' });
        await heading.waitFor();
        assert.equal(await heading.evaluate((element) => getComputedStyle(element).color), 'rgb(1, 2, 3)');
        assert.equal(await heading.evaluate(() => window.origin), 'null');
        await world.accessible();
        await page.getByRole('tab', { name: 'Source' }).click();
        await page.getByText('<h1>Fresh bread</h1>').waitFor();
    },

    async 'a PDF is drawn page by page'(world) {
        const store = await world.store();
        await store.put('menu.pdf', pdf(['Bread', 'Butter', 'Salt']), 'application/pdf');
        await world.open(`${store.page}?key=menu.pdf`);
        const { page } = world;
        await page.getByText('3 pages').waitFor();
        const first = page.getByRole('img', { name: 'Page 1' });
        // Something is drawn on it that is not paper.
        await until('it is drawn', () =>
            first.evaluate((canvas) => {
                const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                return (
                    canvas.width >= 400 &&
                    data.some((value, at) => at % 4 !== 3 && value < 100 && data[at - (at % 4) + 3] === 255)
                );
            }),
        );
        await world.accessible();
        await page.getByRole('button', { name: 'Larger' }).click();
        await until('it is larger', () => first.evaluate((canvas) => canvas.width >= 500));
    },

    async 'sound and film are played by the parts that are needed'(world) {
        const store = await world.store();
        await store.put('tone.wav', wav(4), 'audio/wav');
        await world.open(`${store.page}?key=tone.wav`);
        const { page } = world;
        await store.put('film.webm', await webm(page), 'video/webm');
        const sound = page.locator('audio');
        await until('it knows its length', () => sound.evaluate((element) => Math.round(element.duration) === 4));
        await world.accessible();
        await sound.evaluate((element) => {
            element.muted = true;
            element.currentTime = 3;
            return element.play();
        });
        await until('it plays', () => sound.evaluate((element) => element.currentTime > 3.1));
        await world.open(`${store.page}?key=film.webm`);
        const film = page.locator('video');
        await until('it has a picture', async () => (await film.count()) === 1 && (await width(film)) === 160);
        const part = await fetch(await film.evaluate((element) => element.currentSrc), {
            headers: { Range: 'bytes=0-3' },
        });
        assert.deepEqual([part.status, (await part.arrayBuffer()).byteLength], [206, 4]);
        await world.accessible();
    },

    async 'a token that may only read sees images, pages and sound, too'(world) {
        const store = await world.store();
        await store.put('shot.png', png(30, 20), 'image/png');
        await store.put('tone.wav', wav(1), 'audio/wav');
        const token = await world.tokenWith({ list: true, create: false, stores: [{ id: store.id, right: 'read' }] });
        await world.open(`${store.page}?key=shot.png`, { token });
        await world.page.getByText('30 × 20 pixels').waitFor();
        await world.page.getByRole('link', { name: 'Next record' }).click();
        await until('it knows its length', () =>
            world.page.locator('audio').evaluate((element) => element.duration === 1),
        );
    },

    async 'anything else shows its first bytes'(world) {
        const store = await world.store();
        await store.put(
            'data.bin',
            Buffer.concat([Buffer.from('salt\0'), Buffer.alloc(10_000, 255)]),
            'application/octet-stream',
        );
        await store.put('empty', '', 'application/octet-stream');
        await world.open(`${store.page}?key=data.bin`);
        const { page } = world;
        await page.getByText('00000000  73 61 6c 74 00 ff ff ff  ff ff ff ff ff ff ff ff   salt............').waitFor();
        await page.getByText('The first 4.0 KiB').waitFor();
        await world.accessible();
        await page.getByRole('link', { name: 'Next record' }).click();
        await page.getByText('It is empty.').waitFor();
    },

    async 'one walks to the next record and the one before, by button and by key'(world) {
        const store = await world.store();
        for (const key of ['a', 'b', 'c']) await store.put(key, `this is ${key}`, 'text/plain');
        await world.open(`${store.page}?key=a`);
        const { page } = world;
        await page.getByText('this is a').waitFor();
        assert.ok(await page.getByRole('button', { name: 'Previous record' }).isDisabled());
        await page.getByRole('link', { name: 'Next record' }).click();
        await page.getByText('this is b').waitFor();
        await page.keyboard.press('ArrowRight');
        await page.getByText('this is c').waitFor();
        await page.keyboard.press('ArrowLeft');
        await page.getByText('this is b').waitFor();
        await page.keyboard.press('Escape');
        await page.getByRole('heading', { name: 'b', exact: true }).waitFor({ state: 'detached' });
        world.expects(404);
        await world.open(`${store.page}?key=absent`);
        await page.getByRole('heading', { name: 'No such record' }).waitFor();
        await world.accessible();
    },
};
