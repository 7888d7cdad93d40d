// To come.

import { html } from '../view.js';

export function Integrations() {
    return html`<p>…</p>`;
}
