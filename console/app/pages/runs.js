// To come.

import { html } from '../view.js';

export function Runs() {
    return html`<p>…</p>`;
}
