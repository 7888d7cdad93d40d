// Stores screenshots and prints a link to each: the link shows the picture without a token.
//
// node screenshots.mjs picture.png [another.png ...]

import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';

import { larder } from './larder.mjs';

const TYPES = { '.png': 'image/png', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg', '.webp': 'image/webp' };

const { id } = await larder.keyValueStores().getOrCreate('example-screenshots');
const store = larder.keyValueStore(id);
for (const file of process.argv.slice(2)) {
    const key = basename(file);
    // From a browser, `await page.screenshot()` gives these bytes.
    const value = await readFile(file);
    await store.setRecord({ key, value, contentType: TYPES[extname(file)] ?? 'application/octet-stream' });
    console.log(await store.getRecordPublicUrl(key));
}
