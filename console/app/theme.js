// Light or dark: as the system is, until the user chooses.

import { signal } from './signal.js';

const KEY = 'larder.theme';

/** @typedef {'light' | 'dark'} Theme */

const dark = window.matchMedia('(prefers-color-scheme: dark)');

/** @returns {Theme | null} */
function chosen() {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : null;
}

/** @returns {Theme} */
const inForce = () => chosen() ?? (dark.matches ? 'dark' : 'light');

/** @type {import('./signal.js').Signal<Theme>} */
export const theme = signal(inForce());

/** Shows the pages in it from now on. */
export function applyTheme() {
    const show = () => {
        document.documentElement.dataset.theme = theme.get();
    };
    theme.watch(show);
    dark.addEventListener('change', () => theme.set(inForce()));
    show();
}

/** Changes it, and remembers what was chosen. */
export function switchTheme() {
    const other = theme.get() === 'dark' ? 'light' : 'dark';
    localStorage.setItem(KEY, other);
    theme.set(other);
}
