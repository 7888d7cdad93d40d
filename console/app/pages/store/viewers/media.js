// Sound and film: played by the browser, which asks for the parts it needs.

import { html, useRef } from '../../../view.js';
import { Signed } from './signed.js';

/** Maximum number of new links after playback errors. */
const MAX_REFRESHES = 3;

/** @param {import('./signed.js').Looked & { kind: 'audio' | 'video' }} props */
export function Media({ store, name, kind }) {
    const refreshes = useRef(0);
    const at = useRef(0);
    return html`<${Signed} store=${store.id} name=${name}>
        ${(/** @type {string} */ path, /** @type {() => void} */ renew) => {
            // The link may expire during a pause: a new link resumes from there.
            const failed = () => {
                if (at.current > 0 && refreshes.current < MAX_REFRESHES) {
                    refreshes.current += 1;
                    renew();
                }
            };
            /** @param {Event} event */
            const began = (event) => {
                const element = /** @type {HTMLMediaElement} */ (event.target);
                if (at.current > 0) element.currentTime = at.current;
            };
            /** @param {Event} event */
            const went = (event) => {
                at.current = /** @type {HTMLMediaElement} */ (event.target).currentTime;
            };
            const props = {
                src: path,
                controls: true,
                preload: 'metadata',
                onError: failed,
                onLoadedMetadata: began,
                onTimeUpdate: went,
            };
            return html`<div class="look">
                ${
                    kind === 'audio'
                        ? html`<audio aria-label=${name} ...${props}></audio>`
                        : html`<video aria-label=${name} ...${props}></video>`
                }
            </div>`;
        }}
    <//>`;
}
