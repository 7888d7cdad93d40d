// Environment of a check: Larder, and a relay before it that counts in place of the platform.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { fileURLToPath } from 'node:url';

/** Timeout for a program. */
const PROGRAM_TIMEOUT_MS = 90_000;

export const { LARDER_URL: url, LARDER_TOKEN: token, LARDER_PROGRAM: larder, SDKS_PYTHON: python } = process.env;
for (const [name, value] of Object.entries({ LARDER_URL: url, LARDER_TOKEN: token, SDKS_PYTHON: python })) {
    if (!value) {
        console.error(`${name} is not set (cargo xtask test sdks sets it)`);
        process.exit(2);
    }
}

/** A file beside this one, or beside what was installed with it. */
export const file = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Runs a check with a relay of its own. */
export async function world(check) {
    const relay = new Relay();
    await relay.start();
    try {
        await check(relay);
    } finally {
        relay.stop();
    }
}

/** Passes everything on to Larder, and records the calls and their responses. */
export class Relay {
    calls = [];
    /** Answers to give in place of Larder's, one after the other, to calls that `fails` picks. */
    faults = [];
    fails = () => false;

    async start() {
        this.server = createServer((incoming, outgoing) => this.pass(incoming, outgoing));
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.url = `http://127.0.0.1:${this.server.address().port}`;
    }

    stop() {
        this.server.close();
        this.server.closeAllConnections();
    }

    pass(incoming, outgoing) {
        const call = { method: incoming.method, path: incoming.url, status: undefined };
        this.calls.push(call);
        if (this.faults.length > 0 && this.fails(call)) {
            call.status = this.faults.shift();
            incoming.resume();
            if (call.status === 'cut') return incoming.socket.destroy();
            outgoing.writeHead(call.status, { 'content-type': 'application/json' });
            return outgoing.end('{"error":{"type":"made-up","message":"made up by the test"}}');
        }
        const { host, ...headers } = incoming.headers;
        const onwards = request(url + incoming.url, { method: incoming.method, headers }, (answer) => {
            call.status = answer.statusCode;
            outgoing.writeHead(answer.statusCode, answer.headers);
            answer.pipe(outgoing);
        });
        onwards.on('error', () => incoming.socket.destroy());
        incoming.pipe(onwards);
    }

    /** Returns the recorded calls, and forgets them. */
    take() {
        return this.calls.splice(0);
    }

    /** The environment of an actor that is at home, with this store as its own. Both spellings: older SDKs know one. */
    home(storeId, more = {}) {
        return {
            APIFY_IS_AT_HOME: '1',
            APIFY_TOKEN: token,
            APIFY_API_BASE_URL: this.url,
            APIFY_API_PUBLIC_BASE_URL: this.url,
            ACTOR_DEFAULT_KEY_VALUE_STORE_ID: storeId,
            APIFY_DEFAULT_KEY_VALUE_STORE_ID: storeId,
            // With these, no run is asked for.
            APIFY_ACTOR_PRICING_INFO: '{"pricingModel":"FREE"}',
            APIFY_CHARGED_ACTOR_EVENT_COUNTS: '{"none":0}',
            ...more,
        };
    }
}

/** The API, without any client. */
export async function api(method, path, body, headers = {}) {
    const answer = await fetch(`${url}/v2/key-value-stores${path}`, {
        method,
        headers: { Authorization: `Bearer ${token}`, ...headers },
        body,
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, type: answer.headers.get('content-type'), bytes };
}

/** A new store without a name. */
export async function newStore() {
    const { status, bytes } = await api('POST', '');
    assert.equal(status, 201);
    return JSON.parse(bytes).data.id;
}

/** The bytes of a record, which must be there. */
export async function record(store, key) {
    const { status, bytes } = await api('GET', `/${store}/records/${key}`);
    assert.equal(status, 200, `record ${key} of ${store}`);
    return bytes;
}

/** Starts a program with nothing of Larder's and the platform's in its environment but `variables`. */
export function start(program, args, variables) {
    const own = Object.entries(process.env).filter(([name]) => !/^(LARDER|APIFY|ACTOR|CRAWLEE)_/.test(name));
    const env = { ...Object.fromEntries(own), PYTHONDONTWRITEBYTECODE: '1', NO_PROXY: '127.0.0.1', ...variables };
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const started = { child, out: '', all: '' };
    child.stdout.on('data', (text) => {
        started.out += text;
        started.all += text;
    });
    child.stderr.on('data', (text) => (started.all += text));
    const timer = setTimeout(() => child.kill('SIGKILL'), PROGRAM_TIMEOUT_MS);
    started.ended = once(child, 'close').then(([code, signal]) => {
        clearTimeout(timer);
        return { code, signal };
    });
    return started;
}

/** Runs a program to its end, which must be a good one; gives what it printed. */
export async function run(program, args, variables) {
    const started = start(program, args, variables);
    const { code, signal } = await started.ended;
    assert.equal(code, 0, `${args[0]} ended with ${code ?? signal}:\n${started.all}`);
    return started.out;
}

/** A name that no other check has. */
let names = 0;
export const newName = () => `sdks-${process.pid}-${(names += 1)}`;
