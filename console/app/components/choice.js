// The boxes by which rows of a table are chosen, one or all.

import { html } from '../view.js';
import { inputOf } from './field.js';

/**
 * @param {{ id: string, label: string, selection: import('../selection.js').Selection }} props
 */
export function Choice({ id, label, selection }) {
    return html`<input
        type="checkbox"
        aria-label=${`Select ${label}`}
        checked=${selection.chosen.has(id)}
        onChange=${(/** @type {Event} */ event) => selection.choose(id, inputOf(event).checked)}
    />`;
}

/**
 * @param {{ ids: string[], label: string, selection: import('../selection.js').Selection }} props
 */
export function ChoiceOfAll({ ids, label, selection }) {
    const number = selection.chosen.size;
    return html`<input
        type="checkbox"
        aria-label=${label}
        checked=${number > 0 && number === ids.length}
        indeterminate=${number > 0 && number < ids.length}
        disabled=${ids.length === 0}
        onChange=${(/** @type {Event} */ event) => selection.only(inputOf(event).checked ? ids : [])}
    />`;
}

/**
 * Actions on the selected rows; shown only while rows are selected.
 * @param {{ number: number, of: string, onClear: () => void, children?: any }} props
 */
export function ChosenBar({ number, of, onClear, children }) {
    if (number === 0) return null;
    return html`<div class="chosen" role="region" aria-label="Selection">
        <span><strong>${number}</strong> ${of} selected</span>
        ${children}
        <button type="button" class="button quiet" onClick=${onClear}><span>Clear</span></button>
    </div>`;
}
