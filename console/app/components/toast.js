// Short words on what was just done, read out by screen readers, gone by themselves.

import { signal, useSignal } from '../signal.js';
import { html } from '../view.js';

/** Display durations (milliseconds); errors stay longer. */
const SHOWN = { info: 3000, error: 8000 };

/** @typedef {{ id: number, text: string, kind: 'info' | 'error' }} Toast */

/** @type {import('../signal.js').Signal<Toast[]>} */
const toasts = signal(/** @type {Toast[]} */ ([]));
let next = 1;

/**
 * Says something in passing.
 * @param {string} text
 * @param {'info' | 'error'} [kind]
 */
export function toast(text, kind = 'info') {
    const id = next;
    next += 1;
    toasts.set([...toasts.get(), { id, text, kind }].slice(-4));
    setTimeout(() => toasts.set(toasts.get().filter((shown) => shown.id !== id)), SHOWN[kind]);
}

/** The container of toasts; once on every page. */
export function Toasts() {
    const shown = useSignal(toasts);
    return html`<div class="toasts" role="status" aria-live="polite">
        ${shown.map(({ id, text, kind }) => html`<p key=${id} class="toast ${kind}">${text}</p>`)}
    </div>`;
}
