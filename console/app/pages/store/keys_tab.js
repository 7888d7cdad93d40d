// To come.

import { html } from '../../view.js';

/** @param {import('./store.js').TabProps} props */
export function KeysTab({ store }) {
    return html`<p>${store.id}</p>`;
}
