// Calls for accounts and tokens.

import { call } from '../api.js';

/**
 * @typedef {object} Token
 * @property {string} id
 * @property {string | null} name
 * @property {string} createdAt
 * @property {string | null} expiresAt
 * @property {string | null} lastUsedAt
 * @property {any} scope
 * @property {string} [token] the secret, in the answer that made it
 */

/**
 * Returns the user of the session's token, or of `token`.
 * @param {{ token?: string, signal?: AbortSignal }} [ask]
 * @returns {Promise<import('../session.js').Account>}
 */
export function session(ask = {}) {
    return call('/larder/v1/session', ask);
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ items: Token[] }>}
 */
export function tokens(signal) {
    return call('/larder/v1/tokens', { signal });
}

/**
 * @param {{ name?: string, expiresAt?: string | null, scope?: object | null, username?: string }} settings
 * @returns {Promise<Token>}
 */
export function createToken(settings) {
    return call('/larder/v1/tokens', { method: 'POST', json: settings });
}

/** @param {string} id */
export async function revokeToken(id) {
    await call(`/larder/v1/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

/**
 * @param {string} id
 * @returns {Promise<Token>}
 */
export function replaceToken(id) {
    return call(`/larder/v1/tokens/${encodeURIComponent(id)}/replace`, { method: 'POST', json: {} });
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ items: any[] }>}
 */
export function users(signal) {
    return call('/larder/v1/users', { signal });
}

/**
 * @param {string} user
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function user(user, signal) {
    return call(`/larder/v1/users/${encodeURIComponent(user)}`, { signal });
}

/** @param {{ username: string }} settings */
export function createUser(settings) {
    return call('/larder/v1/users', { method: 'POST', json: settings });
}

/**
 * @param {string} user
 * @param {Record<string, unknown>} changes
 */
export function updateUser(user, changes) {
    return call(`/larder/v1/users/${encodeURIComponent(user)}`, { method: 'PUT', json: changes });
}
