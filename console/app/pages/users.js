// To come.

import { html } from '../view.js';

export function Users() {
    return html`<p>…</p>`;
}
