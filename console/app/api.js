// Client of the API: sends the token in a header, maps errors, and retries idempotent requests.

import { lost } from './connection.js';
import { within } from './root.js';
import { session, signOut } from './session.js';

/** Number of retries after 429 or 503, and the delay without a `Retry-After` (milliseconds). */
const TRIES = 4;
const FIRST_WAIT = 500;

/** An error response of the API. */
export class ApiError extends Error {
    /**
     * @param {number} status
     * @param {string} type as in the API's errors; `no-answer` where none came
     * @param {string} message
     * @param {string | null} requestId finds the request in the gateway's log
     */
    constructor(status, type, message, requestId = null) {
        super(message);
        this.status = status;
        this.type = type;
        this.requestId = requestId;
    }
}

/**
 * @typedef {object} Ask
 * @property {string} [method] GET unless given
 * @property {Record<string, string | number | boolean | null | undefined>} [query]
 * @property {unknown} [json] a body, sent as JSON
 * @property {BodyInit} [body] a body as it is
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {string} [token] another than that of the session
 */

/**
 * The path and query of a request.
 * @param {string} path of the gateway, wherever that is served
 * @param {Ask['query']} [query]
 */
export function target(path, query = {}) {
    const given = Object.entries(query ?? {}).filter(
        ([, value]) => value !== undefined && value !== null && value !== '',
    );
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return within(search ? `${path}?${search}` : path);
}

/**
 * Asks once, and gives the answer as it is, whatever it says.
 * @param {string} path
 * @param {Ask} [asked]
 * @returns {Promise<Response>}
 */
export async function ask(path, asked = {}) {
    const headers = new Headers(asked.headers);
    const token = asked.token ?? session.get().token;
    if (token) headers.set('Authorization', `Bearer ${token}`);
    let { body } = asked;
    if (asked.json !== undefined) {
        headers.set('Content-Type', 'application/json');
        body = JSON.stringify(asked.json);
    }
    const { method = 'GET', signal } = asked;
    try {
        // Nothing is kept, and nothing is sent that was not said here.
        const how = /** @type {const} */ ({ cache: 'no-store', credentials: 'omit', redirect: 'error' });
        return await fetch(target(path, asked.query), { method, headers, body, signal, ...how });
    } catch (error) {
        if (signal?.aborted) throw error;
        lost();
        throw new ApiError(0, 'no-answer', 'The gateway does not respond.');
    }
}

/**
 * Asks, again where that helps, and gives the answer if it is one of success.
 * @param {string} path
 * @param {Ask} [asked]
 * @returns {Promise<Response>}
 */
export async function request(path, asked = {}) {
    for (let tries = 1; ; tries += 1) {
        const { token } = session.get();
        const answer = await ask(path, asked);
        if (answer.ok) return answer;
        const isBusy = answer.status === 429 || answer.status === 503;
        if (isBusy && tries < TRIES) {
            await pause(waitFor(answer, tries), asked.signal);
            continue;
        }
        const isOfSession = answer.status === 401 && asked.token === undefined && token !== null;
        const error = await errorOf(answer);
        if (isOfSession && session.get().token === token)
            signOut('The token is no longer valid. Sign in with another one.');
        throw error;
    }
}

/**
 * Asks, and gives what the answer says as JSON: its `data`, where it has such.
 * @param {string} path
 * @param {Ask} [ask]
 * @returns {Promise<any>}
 */
export async function call(path, ask = {}) {
    const answer = await request(path, ask);
    if (answer.status === 204) return null;
    const said = await answer.json();
    return said !== null && typeof said === 'object' && 'data' in said ? said.data : said;
}

/**
 * Parses an error response.
 * @param {Response} answer
 * @returns {Promise<ApiError>}
 */
export async function errorOf(answer) {
    const requestId = answer.headers.get('X-Request-Id');
    try {
        const { error } = await answer.json();
        return new ApiError(answer.status, error.type, error.message, requestId);
    } catch {
        return new ApiError(answer.status, 'unknown', `The gateway answered with status ${answer.status}.`, requestId);
    }
}

/**
 * @param {Response} answer
 * @param {number} tries
 */
function waitFor(answer, tries) {
    const seconds = Number(answer.headers.get('Retry-After') ?? Number.NaN);
    return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, 10_000) : FIRST_WAIT * 2 ** (tries - 1);
}

/**
 * @param {number} wait milliseconds
 * @param {AbortSignal} [aborted]
 * @returns {Promise<void>}
 */
function pause(wait, aborted) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, wait);
        aborted?.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(aborted.reason);
        });
    });
}
