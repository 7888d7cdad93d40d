// The endpoints of a store, and how they are called in each language.

/**
 * @typedef {object} Endpoint
 * @property {string} title
 * @property {string} method
 * @property {string} path with `{key}` or `{user}` where one stands
 * @property {string} help
 * @property {{ name: string, label: string, value: string }[]} query what can stand behind the question mark
 * @property {string} [body] what is sent, at first
 * @property {string} [type] its media type
 * @property {{ curl: string, javascript: string, python: string }} lines
 */

/**
 * @param {string} origin
 * @param {import('../../calls/stores.js').Store} store
 * @returns {Endpoint[]}
 */
export function endpointsOf(origin, { id }) {
    const path = `/v2/key-value-stores/${id}`;
    const ours = `/larder/v1/stores/${id}`;
    const url = `${origin}${path}`;
    const auth = '-H "Authorization: Bearer $LARDER_TOKEN"';
    /** @param {string} line */
    const javascript = (line) =>
        [
            "import { ApifyClient } from 'apify-client';",
            '',
            'const client = new ApifyClient({',
            `    baseUrl: '${origin}', publicBaseUrl: '${origin}', token: process.env.LARDER_TOKEN,`,
            '});',
            `const store = client.keyValueStore('${id}');`,
            line,
        ].join('\n');
    /** @param {string} line */
    const python = (line) =>
        [
            'import os',
            'from apify_client import ApifyClient',
            '',
            `client = ApifyClient(os.environ['LARDER_TOKEN'], api_url='${origin}', api_public_url='${origin}')`,
            `store = client.key_value_store('${id}')`,
            line,
        ].join('\n');
    return [
        {
            title: 'Get store',
            method: 'GET',
            path,
            help: 'The store: name, settings, expiry and size.',
            query: [],
            lines: {
                curl: `curl ${auth} \\\n  '${url}'`,
                javascript: javascript('console.log(await store.get());'),
                python: python('print(store.get())'),
            },
        },
        {
            title: 'Update store',
            method: 'PUT',
            path,
            help: 'Changes what the body names: name, title, generalAccess, retentionDays, schema.',
            query: [],
            body: '{"title": "My records"}',
            type: 'application/json',
            lines: {
                curl: `curl -X PUT ${auth} -H 'Content-Type: application/json' \\\n  -d '{"title": "My records"}' '${url}'`,
                javascript: javascript("await store.update({ title: 'My records' });"),
                python: python("store.update(title='My records')"),
            },
        },
        {
            title: 'List keys',
            method: 'GET',
            path: `${path}/keys`,
            help: 'The keys in order, up to 1,000 on a page; nextExclusiveStartKey says where the next one begins.',
            query: [
                { name: 'limit', label: 'limit', value: '100' },
                { name: 'prefix', label: 'prefix', value: '' },
                { name: 'exclusiveStartKey', label: 'exclusiveStartKey', value: '' },
            ],
            lines: {
                curl: `curl ${auth} \\\n  '${url}/keys?limit=100'`,
                javascript: javascript('for await (const { key, size } of store.listKeys()) console.log(key, size);'),
                python: python('for item in store.iterate_keys():\n    print(item.key, item.size)'),
            },
        },
        {
            title: 'Get record',
            method: 'GET',
            path: `${path}/records/{key}`,
            help: 'The record as it was stored, with its media type. Conditions and ranges work as everywhere in HTTP.',
            query: [],
            lines: {
                curl: `curl ${auth} \\\n  '${url}/records/INPUT'`,
                javascript: javascript("console.log(await store.getRecord('INPUT'));"),
                python: python("print(store.get_record('INPUT'))"),
            },
        },
        {
            title: 'Get record metadata',
            method: 'HEAD',
            path: `${path}/records/{key}`,
            help: 'The headers of Get record without the body: media type, size and ETag.',
            query: [],
            lines: {
                curl: `curl --head ${auth} \\\n  '${url}/records/INPUT'`,
                javascript: javascript("console.log(await store.recordExists('INPUT'));"),
                python: python("print(store.record_exists('INPUT'))"),
            },
        },
        {
            title: 'Write record',
            method: 'PUT',
            path: `${path}/records/{key}`,
            help: 'Creates or replaces the record. The response is sent once it is durable.',
            query: [],
            body: '{"hello": "world"}',
            type: 'application/json; charset=utf-8',
            lines: {
                curl: `curl -X PUT ${auth} -H 'Content-Type: application/json' \\\n  -d '{"hello": "world"}' '${url}/records/OUTPUT'`,
                javascript: javascript("await store.setRecord({ key: 'OUTPUT', value: { hello: 'world' } });"),
                python: python("store.set_record('OUTPUT', {'hello': 'world'})"),
            },
        },
        {
            title: 'Delete record',
            method: 'DELETE',
            path: `${path}/records/{key}`,
            help: 'Succeeds even if there is no such record.',
            query: [],
            lines: {
                curl: `curl -X DELETE ${auth} \\\n  '${url}/records/OUTPUT'`,
                javascript: javascript("await store.deleteRecord('OUTPUT');"),
                python: python("store.delete_record('OUTPUT')"),
            },
        },
        {
            title: 'Download records',
            method: 'GET',
            path: `${path}/records`,
            help: 'All records as one ZIP file, or those with a prefix, of a collection, or with the given keys.',
            query: [
                { name: 'prefix', label: 'prefix', value: '' },
                { name: 'keys', label: 'keys, comma-separated', value: '' },
            ],
            lines: {
                curl: `curl ${auth} -o records.zip \\\n  '${url}/records'`,
                javascript: [
                    "import { writeFile } from 'node:fs/promises';",
                    '',
                    `const answer = await fetch('${url}/records', {`,
                    '    headers: { Authorization: `Bearer ${process.env.LARDER_TOKEN}` },',
                    '});',
                    "await writeFile('records.zip', answer.body);",
                ].join('\n'),
                python: [
                    'import os, urllib.request',
                    '',
                    `request = urllib.request.Request('${url}/records')`,
                    "request.add_header('Authorization', 'Bearer ' + os.environ['LARDER_TOKEN'])",
                    "open('records.zip', 'wb').write(urllib.request.urlopen(request).read())",
                ].join('\n'),
            },
        },
        {
            title: 'Create link',
            method: 'POST',
            path: `${ours}/view-link`,
            help: 'A link that opens a record without a token until it expires; without a key, the list of keys and the ZIP file.',
            query: [],
            body: '{"key": "OUTPUT", "lifetimeSecs": 900}',
            type: 'application/json',
            lines: plain('POST', `${origin}${ours}/view-link`, '{"key": "OUTPUT", "lifetimeSecs": 900}'),
        },
        {
            title: 'See who has access',
            method: 'GET',
            path: `${ours}/access`,
            help: 'The users with access to this store.',
            query: [],
            lines: plain('GET', `${origin}${ours}/access`),
        },
        {
            title: 'Share store',
            method: 'PUT',
            path: `${ours}/access/{user}`,
            help: 'Grants a user access to this store: read, write or manage. DELETE revokes it.',
            query: [],
            body: '{"right": "read"}',
            type: 'application/json',
            lines: plain('PUT', `${origin}${ours}/access/USERNAME`, '{"right": "read"}'),
        },
        {
            title: 'Rotate secret',
            method: 'POST',
            path: `${ours}/signing-key/rotate`,
            help: 'Revokes all signed links to this store.',
            query: [],
            lines: plain('POST', `${origin}${ours}/signing-key/rotate`),
        },
        {
            title: 'Delete store',
            method: 'DELETE',
            path,
            help: 'Deletes the store and all its records at once.',
            query: [],
            lines: {
                curl: `curl -X DELETE ${auth} \\\n  '${url}'`,
                javascript: javascript('await store.delete();'),
                python: python('store.delete()'),
            },
        },
    ];
}

/**
 * Calls that are Larder's own, which the official clients do not know.
 * @param {string} method
 * @param {string} url
 * @param {string} [body] JSON
 */
function plain(method, url, body) {
    const sent = body ? ` -H 'Content-Type: application/json' \\\n  -d '${body}'` : '';
    return {
        curl: `curl -X ${method} -H "Authorization: Bearer $LARDER_TOKEN"${sent} \\\n  '${url}'`,
        javascript: [
            `const answer = await fetch('${url}', {`,
            `    method: '${method}',`,
            '    headers: {',
            '        Authorization: `Bearer ${process.env.LARDER_TOKEN}`,',
            ...(body ? ["        'Content-Type': 'application/json',"] : []),
            '    },',
            ...(body ? [`    body: '${body}',`] : []),
            '});',
            'console.log(await answer.json());',
        ].join('\n'),
        python: [
            'import os, urllib.request',
            '',
            `request = urllib.request.Request('${url}', method='${method}')`,
            "request.add_header('Authorization', 'Bearer ' + os.environ['LARDER_TOKEN'])",
            ...(body ? ["request.add_header('Content-Type', 'application/json')", `request.data = b'${body}'`] : []),
            'print(urllib.request.urlopen(request).read().decode())',
        ].join('\n'),
    };
}
