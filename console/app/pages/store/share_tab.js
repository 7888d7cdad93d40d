// To come.

import { html } from '../../view.js';

/** @param {import('./store.js').TabProps} props */
export function ShareTab({ store }) {
    return html`<p>${store.id}</p>`;
}
