// Data of a page: loaded once, on request, and when the gateway is back.

import { ApiError } from './api.js';
import { connection } from './connection.js';
import { useSignal } from './signal.js';
import { useCallback, useEffect, useRef, useState } from './view.js';

/**
 * @template T
 * @typedef {object} Loaded
 * @property {T | undefined} value what came last; stays while it is asked for anew
 * @property {Error | undefined} error why the last try failed
 * @property {boolean} isLoading
 * @property {() => void} reload asks again
 * @property {(value: T) => void} put shows another value, known without asking
 */

/**
 * Asks when the page is shown and whenever `inputs` change; what was under way then is given up.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} ask
 * @param {unknown[]} inputs
 * @param {{ keeps?: boolean }} [how] `keeps`: what came for other inputs stays shown until the new comes, as for a list that is searched
 * @returns {Loaded<T>}
 */
export function useLoad(ask, inputs, { keeps = false } = {}) {
    const [state, setState] = useState(
        /** @type {{ value?: T, error?: Error, isLoading: boolean }} */ ({ isLoading: true }),
    );
    const [times, setTimes] = useState(0);
    const asked = useRef('');
    const isHere = useSignal(connection) === 'here';
    const failed = state.error instanceof ApiError && state.error.type === 'no-answer';
    const reload = useCallback(() => setTimes((/** @type {number} */ before) => before + 1), []);
    useEffect(() => {
        if (isHere && failed) reload();
    }, [isHere, failed]);
    useEffect(() => {
        const aborter = new AbortController();
        // What is asked anew stays shown until it comes; what is asked for the first time is not there yet.
        const same = keeps || asked.current === JSON.stringify(inputs);
        asked.current = JSON.stringify(inputs);
        setState((/** @type {{ value?: T }} */ before) => ({
            value: same ? before.value : undefined,
            isLoading: true,
        }));
        ask(aborter.signal).then(
            (value) => {
                if (!aborter.signal.aborted) setState({ value, isLoading: false });
            },
            (error) => {
                if (aborter.signal.aborted) return;
                setState((/** @type {{ value?: T }} */ before) => ({ value: before.value, error, isLoading: false }));
            },
        );
        return () => aborter.abort();
    }, [...inputs, times]);
    const put = useCallback((/** @type {T} */ value) => setState({ value, isLoading: false }), []);
    return { value: state.value, error: state.error, isLoading: state.isLoading, reload, put };
}

/**
 * Something that is done when asked to, one at a time, with what came of it.
 * @template {unknown[]} A
 * @param {(...given: A) => Promise<unknown>} act
 * @returns {{ run: (...given: A) => Promise<boolean>, isRunning: boolean, error: Error | undefined, forget: () => void }}
 */
export function useAction(act) {
    const [state, setState] = useState(/** @type {{ isRunning: boolean, error?: Error }} */ ({ isRunning: false }));
    /** @param {A} given */
    const run = async (...given) => {
        setState({ isRunning: true });
        try {
            await act(...given);
            setState({ isRunning: false });
            return true;
        } catch (error) {
            setState({ isRunning: false, error: error instanceof Error ? error : new Error(String(error)) });
            return false;
        }
    };
    return { run, isRunning: state.isRunning, error: state.error, forget: () => setState({ isRunning: false }) };
}
