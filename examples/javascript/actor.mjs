// An actor as one writes it for the platform: it reads INPUT and writes OUTPUT. Nothing in here knows of Larder; the
// environment says where the stores are (examples/README.md).

import { Actor, log } from 'apify';

await Actor.init();
const { words = [] } = (await Actor.getInput()) ?? {};
const counts = {};
for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
await Actor.setValue('OUTPUT', { words: words.length, counts });
log.info(`${words.length} words were counted.`);
await Actor.exit();
