// A value that pages watch: who changes it does not know who shows it.

import { useEffect, useState } from './view.js';

/**
 * @template T
 * @typedef {{ get: () => T, set: (value: T) => void, watch: (seen: (value: T) => void) => () => void }} Signal
 */

/**
 * A value that can be watched.
 * @template T
 * @param {T} first
 * @returns {Signal<T>}
 */
export function signal(first) {
    let current = first;
    /** @type {Set<(value: T) => void>} */
    const watchers = new Set();
    return {
        get: () => current,
        set(value) {
            if (Object.is(value, current)) return;
            current = value;
            for (const watcher of [...watchers]) watcher(value);
        },
        watch(seen) {
            watchers.add(seen);
            return () => {
                watchers.delete(seen);
            };
        },
    };
}

/**
 * The value of a signal, shown anew whenever it changes.
 * @template T
 * @param {Signal<T>} watched
 * @returns {T}
 */
export function useSignal(watched) {
    const [, show] = useState(0);
    useEffect(() => watched.watch(() => show((/** @type {number} */ times) => times + 1)), [watched]);
    return watched.get();
}
