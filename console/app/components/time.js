// Times: short to read, in full as a hint and for machines.

import { ago, moment } from '../format.js';
import { html } from '../view.js';

/** @param {{ at: string | null | undefined, none?: string }} props */
export function Time({ at, none = '–' }) {
    return at
        ? html`<time datetime=${at} title=${moment(at)}>${ago(at)}</time>`
        : html`<span class="dim">${none}</span>`;
}
