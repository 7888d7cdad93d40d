// Actors that also push data: Larder passes that on to a server that has datasets, in its own name.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

import { file, larder, python, run, token } from '../world.mjs';
import { freePort, kill, serve } from './restarts.mjs';

const SDKS = { javascript: ['node', file('./javascript/sdk.mjs')], python: [python, file('./programs/sdk.py')] };

/** Token of Larder at the upstream. */
const UPSTREAM_TOKEN = 'apify_api_of_the_upstream';

const DATASET = 'Dt7mWc2ZtHn4KxR9a';
const QUEUE = 'Qu3mWc2ZtHn4KxR9a';

/** Addresses at which a run's dataset and request queue are created. */
const MADE = ['/v2/datasets', '/v2/request-queues'];

/** A server with one dataset, that counts who asks for what. */
class Upstream {
    calls = [];
    items = [];

    async start() {
        this.server = createServer(async (incoming, outgoing) => {
            const pieces = [];
            for await (const piece of incoming) pieces.push(piece);
            this.calls.push(incoming);
            const send = (status, value) => {
                outgoing.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
                outgoing.end(JSON.stringify(value));
            };
            const now = new Date().toISOString();
            const times = { createdAt: now, modifiedAt: now, accessedAt: now };
            const counts = { itemCount: 0, cleanItemCount: 0 };
            const dataset = { id: DATASET, userId: 'upstream', name: 'items', actId: null, ...times, ...counts };
            if (incoming.url === '/v2/request-queues') return send(201, { data: { id: QUEUE } });
            if (incoming.url === '/v2/datasets') return send(201, { data: dataset });
            if (incoming.method !== 'POST') return send(200, { data: { ...dataset, consoleUrl: 'http://localhost/' } });
            const body = Buffer.concat(pieces);
            const decode = { br: brotliDecompressSync, gzip: gunzipSync }[incoming.headers['content-encoding']];
            this.items.push(...[JSON.parse(decode ? decode(body) : body)].flat());
            return send(201, {});
        });
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.url = `http://127.0.0.1:${this.server.address().port}`;
    }

    stop() {
        this.server.close();
        this.server.closeAllConnections();
    }
}

/** The environment of an actor that its operator gives a store and a dataset. */
async function home(origin) {
    const headers = { Authorization: `Bearer ${token}` };
    const made = await fetch(`${origin}/v2/key-value-stores`, { method: 'POST', headers });
    return {
        APIFY_IS_AT_HOME: '1',
        APIFY_TOKEN: token,
        APIFY_API_BASE_URL: origin,
        APIFY_API_PUBLIC_BASE_URL: origin,
        ACTOR_DEFAULT_KEY_VALUE_STORE_ID: (await made.json()).data.id,
        ACTOR_DEFAULT_DATASET_ID: DATASET,
        APIFY_ACTOR_PRICING_INFO: '{"pricingModel":"FREE"}',
        APIFY_CHARGED_ACTOR_EVENT_COUNTS: '{"none":0}',
    };
}

const alone = async (origin, program, path) => run(program, [path, 'push'], await home(origin));
const underLarderRun = (origin, program, path) =>
    run(larder, ['run', '--actor', 'pusher', '--', program, path, 'push'], { LARDER_URL: origin, LARDER_TOKEN: token });

async function pushed([program, path], pushes) {
    const [upstream, data, port] = [new Upstream(), await mkdtemp(join(tmpdir(), 'larder-relaying-')), await freePort()];
    await upstream.start();
    const served = await serve(port, data, {
        LARDER_UPSTREAM_URL: upstream.url,
        LARDER_UPSTREAM_TOKEN: UPSTREAM_TOKEN,
    });
    try {
        const origin = `http://127.0.0.1:${port}`;
        await pushes(origin, program, path);
        assert.deepEqual(upstream.items, [{ page: 1 }]);
        for (const { url, headers: sent } of upstream.calls) {
            assert.ok(url.startsWith(`/v2/datasets/${DATASET}`) || MADE.includes(url), url);
            assert.equal(sent.authorization, `Bearer ${UPSTREAM_TOKEN}`);
            assert.ok(!JSON.stringify([url, sent]).includes(token));
        }
    } finally {
        await kill(served);
        upstream.stop();
        await rm(data, { recursive: true });
    }
}

export const upstreams = Object.fromEntries(
    Object.entries(SDKS).flatMap(([language, sdk]) => [
        [`the ${language} sdk pushes data to an upstream`, () => pushed(sdk, alone)],
        [`the ${language} sdk pushes data to an upstream under larder run`, () => pushed(sdk, underLarderRun)],
    ]),
);
