// The session: a token, stored for as long as the browser tab is open. It is never part of an address.

import { signal } from './signal.js';

const KEY = 'larder.token';

/**
 * The caller (`GET /larder/v1/session`).
 * @typedef {object} Account
 * @property {string} id
 * @property {string} username
 * @property {boolean} isAdmin
 * @property {{ id?: string, name: string | null, expiresAt: string | null, scope: object | null }} token
 */

/**
 * @typedef {{ token: string | null, ended: string | null }} Session
 * `ended` says why the last session is over, where that was not asked for.
 */

/** @type {import('./signal.js').Signal<Session>} */
export const session = signal(/** @type {Session} */ ({ token: sessionStorage.getItem(KEY), ended: null }));

/** @type {import('./signal.js').Signal<Account | null>} */
export const account = signal(/** @type {Account | null} */ (null));

/**
 * Begins a session.
 * @param {string} token
 * @param {Account} who
 */
export function signIn(token, who) {
    sessionStorage.setItem(KEY, token);
    account.set(who);
    session.set({ token, ended: null });
}

/**
 * Ends the session; `why` is shown on the sign-in page.
 * @param {string | null} why
 */
export function signOut(why = null) {
    sessionStorage.removeItem(KEY);
    account.set(null);
    session.set({ token: null, ended: why });
}
