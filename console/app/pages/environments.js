// Environment variables that point programs to this server.

/** @typedef {{ name: string, title: string, help: string, text: string }} Environment */

/**
 * @param {string} origin
 * @param {string} [token]
 * @returns {Environment[]}
 */
export function environmentsFor(origin, token = 'YOUR_TOKEN') {
    const sdk = [
        `export APIFY_TOKEN=${token}`,
        `export APIFY_API_BASE_URL=${origin}`,
        `export APIFY_API_PUBLIC_BASE_URL=${origin}`,
    ].join('\n');
    const larder = [`export LARDER_URL=${origin}`, `export LARDER_TOKEN=${token}`].join('\n');
    return [
        {
            name: 'javascript-sdk',
            title: 'SDK, JavaScript',
            help: 'Stores by name, from a program that runs anywhere: Actor.openKeyValueStore(name, { forceCloud: true }).',
            text: `${sdk}\nnode main.js`,
        },
        {
            name: 'python-sdk',
            title: 'SDK, Python',
            help: 'The same in Python: await Actor.open_key_value_store(name=..., force_cloud=True).',
            text: `${sdk}\npython3 -m my_actor`,
        },
        {
            name: 'crawlee',
            title: 'Crawlee',
            help: 'A crawl as a run: its key-value store is one of its own here; the request queue and the dataset stay in Crawlee’s memory.',
            text: `${larder}\nlarder run --open-stores --input input.json -- node crawl.mjs`,
        },
        {
            name: 'javascript-client',
            title: 'Client, JavaScript',
            help: 'npm install apify-client',
            text: [
                "import { ApifyClient } from 'apify-client';",
                '',
                `const client = new ApifyClient({ baseUrl: '${origin}', publicBaseUrl: '${origin}', token: '${token}' });`,
                "const { id } = await client.keyValueStores().getOrCreate('pantry');",
            ].join('\n'),
        },
        {
            name: 'python-client',
            title: 'Client, Python',
            help: 'pip install apify-client',
            text: [
                'from apify_client import ApifyClient',
                '',
                `client = ApifyClient('${token}', api_url='${origin}', api_public_url='${origin}')`,
                "pantry = client.key_value_stores().get_or_create(name='pantry')",
            ].join('\n'),
        },
        {
            name: 'cli',
            title: 'Apify CLI',
            help: 'The official command line asks the server that this variable names.',
            text: [
                `export APIFY_CLIENT_BASE_URL=${origin}`,
                `apify login --token ${token}`,
                'apify key-value-stores ls',
            ].join('\n'),
        },
        {
            name: 'larder',
            title: 'larder',
            help: 'Import, export, users, tokens and links by command.',
            text: `${larder}\nlarder export pantry pantry.zip`,
        },
        {
            name: 'curl',
            title: 'curl',
            help: 'Everything is HTTP.',
            text: `curl -H 'Authorization: Bearer ${token}' ${origin}/v2/key-value-stores`,
        },
    ];
}
