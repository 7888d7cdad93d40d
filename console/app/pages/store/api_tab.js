// To come.

import { html } from '../../view.js';

/** @param {import('./store.js').TabProps} props */
export function ApiTab({ store }) {
    return html`<p>${store.id}</p>`;
}
