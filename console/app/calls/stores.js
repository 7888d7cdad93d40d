// Calls for stores, and for who may do what with them.

import { call } from '../api.js';

/** @typedef {'read' | 'write' | 'manage'} Right */

/**
 * @typedef {object} Store
 * @property {string} id
 * @property {string | null} name
 * @property {string | null} [title]
 * @property {string} userId
 * @property {string} [username]
 * @property {string} createdAt
 * @property {string} modifiedAt
 * @property {string} accessedAt
 * @property {string | null} expiresAt
 * @property {number} retentionDays
 * @property {string | null} actId
 * @property {string | null} actRunId
 * @property {any} schema
 * @property {string} generalAccess
 * @property {string} consoleUrl
 * @property {string} keysPublicUrl
 * @property {string} [urlSigningSecretKey]
 * @property {Right | null} right what the caller may do with it
 * @property {{ phase: string, recordsCopied?: number }} [move]
 * @property {{ readCount: number, writeCount: number, deleteCount: number, listCount: number, itemCount?: number,
 *   storageBytes?: number, countedAt?: string }} stats
 */

/** @param {string} id */
const path = (id) => `/v2/key-value-stores/${encodeURIComponent(id)}`;

/** @param {string} id */
const ours = (id) => `/larder/v1/stores/${encodeURIComponent(id)}`;

/**
 * @param {{ offset: number, limit: number, unnamed: boolean, search: string, desc: boolean, ownership?: string }} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ total: number, offset: number, count: number, items: Store[] }>}
 */
export function list(query, signal) {
    return call('/v2/key-value-stores', { query, signal });
}

/**
 * @param {string} id or owner~name
 * @param {AbortSignal} [signal]
 * @returns {Promise<Store>}
 */
export function get(id, signal) {
    return call(path(id), { signal });
}

/**
 * A new store, or the one of that name.
 * @param {{ name?: string, retentionDays?: number }} settings
 * @returns {Promise<Store>}
 */
export function create({ name, retentionDays }) {
    return call('/v2/key-value-stores', { method: 'POST', query: { name }, json: { retentionDays } });
}

/**
 * @param {string} id
 * @param {Record<string, unknown>} changes
 * @returns {Promise<Store>}
 */
export function update(id, changes) {
    return call(path(id), { method: 'PUT', json: changes });
}

/** @param {string} id */
export async function remove(id) {
    await call(path(id), { method: 'DELETE' });
}

/**
 * Users with a right of their own on a store.
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function access(id, signal) {
    return call(`${ours(id)}/access`, { signal });
}

/**
 * @param {string} id
 * @param {string} user name or id
 * @param {Right} right
 * @returns {Promise<{ linksRevoked: boolean }>}
 */
export function share(id, user, right) {
    return call(`${ours(id)}/access/${encodeURIComponent(user)}`, { method: 'PUT', json: { right } });
}

/**
 * @param {string} id
 * @param {string} user
 * @returns {Promise<{ linksRevoked: boolean }>}
 */
export function unshare(id, user) {
    return call(`${ours(id)}/access/${encodeURIComponent(user)}`, { method: 'DELETE' });
}

/**
 * Lets all signed links of a store die.
 * @param {string} id
 * @returns {Promise<Store>}
 */
export function rotateSigningKey(id) {
    return call(`${ours(id)}/signing-key/rotate`, { method: 'POST' });
}

/**
 * A signature that opens a record, or the list of keys and the ZIP file of the store, for some minutes.
 * @param {string} id
 * @param {string} [key]
 * @param {number} [lifetimeSecs] longer than some minutes only for who may write
 * @returns {Promise<{ url: string, signature: string, expiresAt: string }>}
 */
export function viewLink(id, key, lifetimeSecs) {
    return call(`${ours(id)}/view-link`, { method: 'POST', json: { key, lifetimeSecs } });
}

/** Returns the name of a store on pages. @param {Store} store */
export function nameOf(store) {
    return store.name ?? store.id;
}
