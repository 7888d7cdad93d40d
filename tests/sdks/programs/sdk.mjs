// An actor that uses all operations of the SDK on key-value stores. It checks the results itself; the driver checks the
// calls.

import assert from 'node:assert/strict';

import { Actor } from 'apify';

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 200, 255, 0xd9]);
const [what, name] = process.argv.slice(2);

const steps = {
    async everything() {
        assert.deepEqual(await Actor.getInput(), { flour: 500 });
        assert.equal(await Actor.getValue('absent'), null);
        await Actor.setValue('OUTPUT', JPEG, { contentType: 'image/jpeg' });
        assert.deepEqual(await Actor.getValue('OUTPUT'), JPEG);
        const state = await Actor.useState('STATE', { baked: 0 });
        state.baked += 1;

        const cache = await Actor.openKeyValueStore(name);
        assert.equal((await Actor.openKeyValueStore(cache.id)).id, cache.id);
        await cache.setValue('k', 'str');
        assert.equal(await cache.getValue('k'), 'str');
        assert.equal(await cache.recordExists('k'), true);
        assert.equal(await cache.recordExists('absent'), false);
        await cache.setValue('gone', 1);
        await cache.setValue('gone', null);
        await cache.setValue('gone', null);
        for (let at = 0; at < 5; at += 1) await cache.setValue(`many-${at}`, { at });
        const keys = [];
        await cache.forEachKey((key) => keys.push(key), { prefix: 'many-' });
        assert.equal(keys.join(), 'many-0,many-1,many-2,many-3,many-4');

        const dropped = await Actor.openKeyValueStore(`${name}-dropped`);
        await dropped.setValue('k', 1);
        await dropped.drop();
        console.log(cache.id);
    },
    async link() {
        const cache = await Actor.openKeyValueStore(name);
        await cache.setValue('k', { salt: 1 });
        console.log(await cache.getPublicUrl('k'));
    },
    async open() {
        console.log((await Actor.openKeyValueStore(name)).id);
    },
    async write() {
        await Actor.setValue('patient', { waited: true });
        assert.deepEqual(await Actor.getValue('patient'), { waited: true });
    },
    async become() {
        const input = await Actor.getInput();
        if (input.flour === 500) {
            await Actor.setStatusMessage('rising');
            await Actor.metamorph(process.env.ACTOR_ID, { flour: 1, was: input.flour });
        }
        await Actor.setValue('OUTPUT', { was: input.was, is: input.flour });
        await Actor.fail('burnt', { exitCode: 7 });
    },
    async push() {
        await Actor.pushData([{ page: 1 }]);
    },
};

await Actor.init();
await steps[what]();
await Actor.exit();
