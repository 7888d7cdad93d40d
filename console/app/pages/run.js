// To come.

import { html } from '../view.js';

export function RunPage() {
    return html`<p>…</p>`;
}
