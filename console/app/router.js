// Routing: every page and every state worth sharing has an address below /console/.

import { within } from './root.js';
import { signal, useSignal } from './signal.js';

/** Prefix of all addresses of the console. */
export const BASE = within('/console');

/**
 * @typedef {object} Place
 * @property {string[]} path the segments behind /console/, decoded
 * @property {URLSearchParams} query
 */

/** @returns {Place} */
function here() {
    const { pathname, search } = window.location;
    const path = pathname.slice(BASE.length).split('/').filter(Boolean).map(decoded);
    return { path, query: new URLSearchParams(search) };
}

/** @param {string} segment */
function decoded(segment) {
    try {
        return decodeURIComponent(segment);
    } catch {
        return segment;
    }
}

/** @type {import('./signal.js').Signal<Place>} */
const place = signal(here());

window.addEventListener('popstate', () => place.set(here()));

/** Returns the current route, and renders again when it changes. */
export function usePlace() {
    return useSignal(place);
}

/**
 * An address of the console: segments, encoded, and what of `query` is given.
 * @param {string[]} segments
 * @param {Record<string, string | number | boolean | null | undefined>} [query]
 */
export function address(segments, query = {}) {
    const path = segments.map((segment) => `/${encodeURIComponent(segment)}`).join('');
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return `${BASE}${path || '/'}${search ? `?${search}` : ''}`;
}

/**
 * Goes to an address of the console.
 * @param {string} to
 * @param {{ replace?: boolean }} [how] `replace`: going back does not come here again
 */
export function go(to, { replace = false } = {}) {
    if (replace) window.history.replaceState(null, '', to);
    else window.history.pushState(null, '', to);
    place.set(here());
    if (!replace) window.scrollTo(0, 0);
}

/**
 * Changes parts of the query of where one is; `null` takes a part out.
 * @param {Record<string, string | null>} changes
 * @param {{ replace?: boolean }} [how]
 */
export function goWith(changes, how = { replace: true }) {
    const query = new URLSearchParams(window.location.search);
    for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === '') query.delete(name);
        else query.set(name, value);
    }
    const search = query.toString();
    go(window.location.pathname + (search ? `?${search}` : ''), how);
}

/** Lets links within the console change the page without loading it anew. */
export function followLinks() {
    document.addEventListener('click', (event) => {
        const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
        if (!isPlain || event.defaultPrevented || !(event.target instanceof Element)) return;
        const link = event.target.closest('a');
        if (!link || link.target || link.hasAttribute('download') || link.origin !== window.location.origin) return;
        if (!link.pathname.startsWith(`${BASE}/`)) return;
        event.preventDefault();
        go(link.pathname + link.search);
    });
}
