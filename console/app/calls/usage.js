// Calls for what object calls and bytes stores and runs cost.

import { call } from '../api.js';

/**
 * @typedef {object} Usage
 * @property {string} since when this gateway began to count
 * @property {{ classA: number, classB: number, free: number }} calls
 * @property {number} bytesIn
 * @property {number} bytesOut
 * @property {number | null} cost `null` if no prices are configured
 * @property {{ currency: string } | null} prices
 * @property {boolean} isComplete whether nothing of it was summed with that of others
 */

/**
 * @param {{ store: string } | { run: string }} of
 * @param {AbortSignal} [signal]
 * @returns {Promise<Usage>}
 */
export function of(of, signal) {
    return call('/larder/v1/usage', { query: of, signal });
}
