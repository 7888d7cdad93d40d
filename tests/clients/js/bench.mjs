// Environment of a check: the client, and stores that are removed when the check is over.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

/** Maximum number of concurrent requests of a bulk step. */
const CONCURRENCY = 16;

export class Bench {
    #made = new Set();

    constructor(client, url) {
        this.client = client;
        this.url = url;
    }

    /** An unused store name. */
    name(hint) {
        return `js-${hint}-${randomBytes(6).toString('hex')}`;
    }

    /** Opens a store (a new unnamed one without a name); it is removed after the check. Returns its description. */
    async open(name, options) {
        const store = await this.client.keyValueStores().getOrCreate(name, options);
        this.#made.add(store.id);
        return store;
    }

    /** The client of a new unnamed store. */
    async store() {
        return this.client.keyValueStore((await this.open()).id);
    }

    async clear() {
        await inParallel([...this.#made], (id) => this.client.keyValueStore(id).delete());
        this.#made.clear();
    }
}

/** A link whose signature differs in one bit of one character, and is made of letters and digits all the same. */
export function oneBitAway(link) {
    const url = new URL(link);
    const signature = [...url.searchParams.get('signature')];
    const flipped = (character) => String.fromCharCode(character.charCodeAt(0) ^ 1);
    const at = signature.findIndex((character) => /[0-9A-Za-z]/.test(flipped(character)));
    signature[at] = flipped(signature[at]);
    url.searchParams.set('signature', signature.join(''));
    return url;
}

/** Runs `step` for every item, a few at a time. */
export async function inParallel(items, step) {
    const rest = items.values();
    const worker = async () => {
        for (const item of rest) await step(item);
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

/** Everything an async iterator yields. */
export async function collect(iterator) {
    const all = [];
    for await (const item of iterator) all.push(item);
    return all;
}

/** Asserts that the client throws the API's error of this status and type. */
export async function refused(promise, statusCode, type) {
    const error = await promise.then(
        () => assert.fail(`expected ${statusCode} ${type}, but the call succeeded`),
        (caught) => caught,
    );
    assert.equal(error.name, 'ApifyApiError', `expected an answer of the API: ${error.stack}`);
    assert.deepEqual([error.statusCode, error.type], [statusCode, type], error.message);
    assert.ok(error.message.length > 0, 'an error says what is wrong');
}
