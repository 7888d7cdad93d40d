// Calls for runs of actors.

import { call } from '../api.js';

/**
 * @typedef {object} Run
 * @property {string} id
 * @property {string} actId
 * @property {string} userId
 * @property {string} status
 * @property {string | null} [statusMessage]
 * @property {string} startedAt
 * @property {string | null} finishedAt
 * @property {string} defaultKeyValueStoreId
 * @property {{ origin: string }} [meta]
 * @property {number | null} [exitCode]
 */

/**
 * @param {{ offset: number, limit: number, desc: boolean, status?: string }} query
 * @param {{ actor?: string, signal?: AbortSignal }} [of] `actor`: of that actor only, by name or id
 * @returns {Promise<{ total: number, offset: number, count: number, items: Run[] }>}
 */
export function list(query, { actor, signal } = {}) {
    const path = actor ? `/v2/acts/${encodeURIComponent(actor)}/runs` : '/v2/actor-runs';
    return call(path, { query, signal });
}

/**
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<Run>}
 */
export function get(id, signal) {
    return call(`/v2/actor-runs/${encodeURIComponent(id)}`, { signal });
}

/** @param {string} id @returns {Promise<Run>} */
export function abort(id) {
    return call(`/v2/actor-runs/${encodeURIComponent(id)}/abort`, { method: 'POST' });
}
