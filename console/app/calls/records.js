// Calls for keys and records.

import { call, request, target } from '../api.js';

/**
 * @typedef {object} Key
 * @property {string} key
 * @property {number} size
 * @property {string} recordPublicUrl
 */

/**
 * @typedef {{ items: Key[], count: number, limit: number, isTruncated: boolean, exclusiveStartKey: string | null,
 *   nextExclusiveStartKey: string | null }} KeyPage
 */

/**
 * The path of a record. Two keys have none here: browsers take `.` and `..` for steps in the path, however they are written
 * (https://url.spec.whatwg.org/#double-dot-path-segment).
 * @param {string} store
 * @param {string} key
 */
export function recordPath(store, key) {
    if (key === '.' || key === '..')
        throw new Error('Browsers cannot ask for a record of this key. Use another client of the API.');
    return `/v2/key-value-stores/${encodeURIComponent(store)}/records/${encodeURIComponent(key)}`;
}

/**
 * @param {string} store
 * @param {{ limit: number, exclusiveStartKey?: string | null, prefix?: string, collection?: string | null }} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<KeyPage>}
 */
export function list(store, query, signal) {
    return call(`/v2/key-value-stores/${encodeURIComponent(store)}/keys`, { query, signal });
}

/**
 * Metadata of a record.
 * @typedef {{ type: string, size: number | null, etag: string | null, modified: string | null }} Head
 */

/** @param {Response} answer @returns {Head} */
export function headOf(answer) {
    const length = answer.headers.get('Content-Length');
    return {
        type: answer.headers.get('Content-Type') ?? 'application/octet-stream',
        size: length === null ? null : Number(length),
        etag: answer.headers.get('ETag'),
        modified: answer.headers.get('Last-Modified'),
    };
}

/**
 * @param {string} store
 * @param {string} key
 * @param {AbortSignal} [signal]
 */
export async function head(store, key, signal) {
    return headOf(await request(recordPath(store, key), { method: 'HEAD', signal }));
}

/**
 * A record, as it comes.
 * @param {string} store
 * @param {string} key
 * @param {{ signal?: AbortSignal, headers?: Record<string, string> }} [ask]
 */
export async function get(store, key, ask = {}) {
    return request(recordPath(store, key), ask);
}

/**
 * Writes a record, if it still is what `etag` says (`null`: if there is none; nothing: in any case).
 * @param {string} store
 * @param {string} key
 * @param {BodyInit} body
 * @param {string} type
 * @param {string | null} [etag]
 */
export async function put(store, key, body, type, etag) {
    /** @type {Record<string, string>} */
    const headers = { 'Content-Type': type };
    if (etag === null) headers['If-None-Match'] = '*';
    else if (etag !== undefined) headers['If-Match'] = etag;
    const answer = await request(recordPath(store, key), { method: 'PUT', body, headers });
    return answer.headers.get('ETag');
}

/** @param {string} store @param {string} key */
export async function remove(store, key) {
    await request(recordPath(store, key), { method: 'DELETE' });
}

/**
 * The address of a record on this origin, opened by a signature.
 * @param {string} store
 * @param {string} key
 * @param {string} signature
 * @param {{ attachment?: boolean, blockRemoteContent?: boolean }} [how]
 */
export function signedPath(store, key, signature, { attachment = false, blockRemoteContent = false } = {}) {
    return target(recordPath(store, key), {
        signature,
        attachment: attachment ? true : undefined,
        blockRemoteContent: blockRemoteContent ? true : undefined,
    });
}

/**
 * The link to a record that never ends, as the list of keys has it for who may write.
 * @param {string} store
 * @param {string} key
 */
export async function lastingLink(store, key) {
    const { items } = await list(store, { limit: 1, prefix: key });
    const [first] = items;
    if (first?.key !== key) throw new Error('There is no record of this key.');
    return first.recordPublicUrl;
}
