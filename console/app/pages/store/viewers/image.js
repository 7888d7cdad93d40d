// Images: fitted into the page, or at their own size and larger.

import { Button } from '../../../components/button.js';
import { html, useState } from '../../../view.js';
import { Signed } from './signed.js';

/** Zoom factor of a step, and its maximum. */
const STEP = 1.5;
const [SMALLEST, LARGEST] = [0.1, 16];

/** @param {import('./signed.js').Looked} props */
export function ImageView({ store, name }) {
    return html`<${Signed} store=${store.id} name=${name}
        >${(/** @type {string} */ path) => html`<${Zoomed} path=${path} name=${name} />`}<//
    >`;
}

/** @param {{ path: string, name: string }} props */
function Zoomed({ path, name }) {
    const [zoom, setZoom] = useState(/** @type {number | null} */ (null));
    const [natural, setNatural] = useState(/** @type {{ width: number, height: number } | null} */ (null));
    const [isBroken, setBroken] = useState(false);
    /** @param {number} by */
    const scale = (by) => setZoom(Math.min(LARGEST, Math.max(SMALLEST, (zoom ?? 1) * by)));
    /** @param {Event} event */
    const loaded = (event) => {
        const { naturalWidth: width, naturalHeight: height } = /** @type {HTMLImageElement} */ (event.target);
        // A drawing that says no size of its own has none.
        if (width > 0) setNatural({ width, height });
    };
    if (isBroken)
        return html`<p class="notice">The browser cannot show this image. Download it to open it elsewhere.</p>`;
    const size = zoom !== null && natural ? { width: `${natural.width * zoom}px` } : undefined;
    return html`<div class="look">
        <div class="tools">
            <span class="dim">${natural ? `${natural.width} × ${natural.height} pixels` : ''}</span>
            <${Button} aria-pressed=${zoom === null ? 'true' : 'false'} onClick=${() => setZoom(null)}>Fit<//>
            <${Button} aria-pressed=${zoom === 1 ? 'true' : 'false'} onClick=${() => setZoom(1)}>100 %<//>
            <${Button} label="Smaller" onClick=${() => scale(1 / STEP)}>−<//>
            <${Button} label="Larger" onClick=${() => scale(STEP)}>+<//>
            <span class="dim" aria-live="polite">${zoom === null ? 'fitted' : `${Math.round(zoom * 100)} %`}</span>
        </div>
        <div class="canvas ${zoom === null ? 'fitted' : ''}" tabindex="0" role="region" aria-label="Image">
            <img src=${path} alt=${name} style=${size} onLoad=${loaded} onError=${() => setBroken(true)} />
        </div>
    </div>`;
}
