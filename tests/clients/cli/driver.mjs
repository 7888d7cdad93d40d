// Drives a running Larder with the official command line, as npm ships it: every command of `apify key-value-stores`.
//
// LARDER_URL and LARDER_TOKEN say where it runs. The command line gets a home folder of its own, so that a login of the
// person who runs this stays as it is. Each command is a process, so the checks follow one store from its creation to its
// removal, and the first that fails ends the run. Prints `ok NAME` for each, and at the end `N passed, M failed`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const APIFY = fileURLToPath(new URL('node_modules/apify-cli/dist/apify.js', import.meta.url));

function required(name) {
    const value = process.env[name];
    if (!value) {
        console.error(`${name} is not set: it says which Larder to drive (cargo xtask test clients sets it)`);
        process.exit(2);
    }
    return value;
}

const url = required('LARDER_URL');
const token = required('LARDER_TOKEN');
const home = await mkdtemp(join(tmpdir(), 'larder-cli-'));

/** Environment of every command, wherever it finds Larder. */
const SURROUNDINGS = { PATH: process.env.PATH, HOME: home, APIFY_DISABLE_KEYRING: '1', NO_COLOR: '1' };

/** Environment by which a user's command finds Larder. */
const OF_PERSON = { APIFY_CLIENT_BASE_URL: url, APIFY_CLI_DISABLE_TELEMETRY: '1', APIFY_CLI_SKIP_UPDATE_CHECK: '1' };

/** Runs one command; gives its exit code and what it wrote to each stream. */
function run(args, variables = OF_PERSON) {
    const env = { ...SURROUNDINGS, ...variables };
    return new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [APIFY, ...args], { env, cwd: home, stdio: ['ignore', 'pipe', 'pipe'] });
        const output = { stdout: '', stderr: '' };
        for (const stream of ['stdout', 'stderr']) {
            child[stream].setEncoding('utf8').on('data', (text) => {
                output[stream] += text;
            });
        }
        child.on('error', reject);
        child.on('close', (code) => resolve({ code, ...output }));
    });
}

/** Runs a command that must succeed; gives what it wrote to its output. */
async function apify(...args) {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, 0, `apify ${args.join(' ')}\n${stdout}${stderr}`);
    return stdout;
}

/** The `data` of an answer of the API's, which must be a good one. */
async function api(method, path, body) {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
    return (await answer.json()).data;
}

const kvs = (...args) => apify('key-value-stores', ...args);
const json = async (...args) => JSON.parse(await kvs(...args, '--json'));

const name = `cli-${randomBytes(6).toString('hex')}`;
const renamed = `${name}-renamed`;
let id;

const checks = {
    'login accepts the token': async () => {
        await apify('login', '--token', token);
    },
    'create makes a named store': async () => {
        const made = await json('create', name);
        assert.equal(made.name, name);
        id = made.id;
    },
    // Its table is not looked at: this version of the command fails to print a size of nought, its own or another store's.
    'ls lists it': async () => {
        const page = await json('ls', '--desc', '--limit', '5', '--offset', '0');
        assert.ok(page.items.some((store) => store.id === id && store.name === name));
    },
    'info shows it by id and by bare name': async () => {
        assert.equal((await json('info', name)).id, id);
        assert.match(await kvs('info', id), new RegExp(name));
    },
    // As arguments only: this version of the command has read its input away by the time it would send it.
    'set-value stores json and text': async () => {
        await kvs('set-value', name, 'OUTPUT', '{"status":"done"}');
        await kvs('set-value', id, 'REPORT', 'all is well', '--content-type', 'text/plain');
    },
    'get-value gives value and type': async () => {
        assert.deepEqual(JSON.parse(await kvs('get-value', name, 'OUTPUT')), { status: 'done' });
        const { stdout, stderr } = await run(['key-value-stores', 'get-value', id, 'REPORT', '--only-content-type']);
        assert.match(stdout + stderr, /text\/plain/);
    },
    'keys lists them in pages': async () => {
        const page = await json('keys', name, '--limit', '1');
        assert.deepEqual([page.items.map((item) => item.key), page.isTruncated], [['OUTPUT'], true]);
        const rest = await kvs('keys', id, '--exclusive-start-key', 'OUTPUT');
        assert.match(rest, /REPORT/);
        assert.doesNotMatch(rest, /OUTPUT/);
    },
    'rename gives another name, and unname takes it': async () => {
        await kvs('rename', name, renamed);
        assert.equal((await json('info', renamed)).id, id);
        await kvs('rename', id, '--unname');
        assert.equal((await json('info', id)).name ?? null, null);
    },
    'delete-value removes a record': async () => {
        await kvs('delete-value', id, 'OUTPUT', '--yes');
        assert.deepEqual((await json('keys', id)).items.map((item) => item.key), ['REPORT']);
    },
    'rm removes the store': async () => {
        await kvs('rm', id, '--yes');
        const page = await json('ls', '--unnamed', '--desc', '--limit', '1000');
        assert.ok(page.items.every((store) => store.id !== id));
    },
    'in a run nothing leaves for another host': async () => {
        // In place of Larder, which has no datasets by itself: takes everything, and remembers what and by whose token.
        const calls = [];
        const stub = createServer((request, answer) => {
            calls.push(`${request.method} ${request.url.split('?')[0]} ${request.headers.authorization}`);
            request.resume().on('end', () => answer.writeHead(201, { 'content-type': 'application/json' }).end('{"data":{}}'));
        }).listen(0, '127.0.0.1');
        await once(stub, 'listening');
        const { id: run_id, defaultDatasetId } = await api('POST', '/v2/acts/oven/runs');
        const apiBaseUrl = `http://127.0.0.1:${stub.address().port}`;
        const { environment } = await api('POST', `/larder/v1/runs/${run_id}/environment`, { apiBaseUrl });
        const [log, hook] = [join(home, 'left'), new URL('confined.mjs', import.meta.url)];
        await writeFile(log, '');
        const confined = { ...environment, CONFINED_LOG: log, NODE_OPTIONS: `--import=${hook}` };
        const { code, stdout, stderr } = await run(['actor', 'push-data', '{"bread":1}'], confined);
        stub.close();
        assert.equal(await readFile(log, 'utf8'), '', 'hosts that were asked');
        assert.equal(code, 0, stdout + stderr);
        const pushed = `POST /v2/datasets/${defaultDatasetId}/items Bearer ${environment.APIFY_TOKEN}`;
        assert.ok(calls.includes(pushed), calls.join('\n'));
    },
};

let passed = 0;
let failed = 0;
for (const [check, step] of Object.entries(checks)) {
    const started = performance.now();
    try {
        await step();
        passed += 1;
        console.log(`ok ${check} (${Math.round(performance.now() - started)} ms)`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED ${check}\n${error.stack ?? error}`);
        break;
    }
}
await rm(home, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
