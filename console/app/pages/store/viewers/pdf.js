// PDF, drawn by pdf.js: a sandboxed page has no viewer of the browser's. Pages are drawn as they come into sight.

import { recordPath } from '../../../calls/records.js';
import { Button } from '../../../components/button.js';
import { Failure, Loading } from '../../../components/states.js';
import { counted } from '../../../format.js';
import { useLoad } from '../../../load.js';
import { within } from '../../../root.js';
import { session } from '../../../session.js';
import { html, useEffect, useRef, useState } from '../../../view.js';

const VENDOR = within('/console/vendor/pdf');

/** Zoom factor of a step, and its limits. */
const STEP = 1.25;
const [SMALLEST, LARGEST] = [0.25, 4];

/** The library is a megabyte: it is loaded with the first PDF. */
async function library() {
    const pdf = await import('../../../../vendor/pdf/pdf.min.mjs');
    pdf.GlobalWorkerOptions.workerSrc = `${VENDOR}/pdf.worker.min.mjs`;
    return pdf;
}

/**
 * @param {string} store
 * @param {string} name
 * @param {AbortSignal} signal
 */
async function open(store, name, signal) {
    const pdf = await library();
    const { token } = session.get();
    const loading = pdf.getDocument({
        url: within(recordPath(store, name)),
        httpHeaders: token ? { Authorization: `Bearer ${token}` } : {},
        standardFontDataUrl: `${VENDOR}/standard_fonts/`,
        // The document is untrusted: none of its code runs.
        isEvalSupported: false,
        enableXfa: false,
        useWasm: false,
    });
    signal.addEventListener('abort', () => loading.destroy());
    return loading.promise;
}

/** @param {import('./signed.js').Looked} props */
export function Pdf({ store, name }) {
    const [scale, setScale] = useState(1);
    const opened = useLoad((signal) => open(store.id, name, signal), [store.id, name]);
    if (opened.error) return html`<${Failure} error=${opened.error} onRetry=${opened.reload} />`;
    const file = opened.value;
    if (!file) return html`<${Loading} what="the document" />`;
    /** @param {number} by */
    const zoom = (by) => setScale(Math.min(LARGEST, Math.max(SMALLEST, scale * by)));
    return html`<div class="look">
        <div class="tools">
            <span class="dim">${counted(file.numPages, 'page')}</span>
            <${Button} label="Smaller" onClick=${() => zoom(1 / STEP)}>−<//>
            <${Button} label="Larger" onClick=${() => zoom(STEP)}>+<//>
            <span class="dim" aria-live="polite">${Math.round(scale * 100)} %</span>
        </div>
        <div class="pages" tabindex="0" role="region" aria-label="Document">
            ${Array.from({ length: file.numPages }, (_, at) => html`<${Page} key=${at} file=${file} number=${at + 1} scale=${scale} />`)}
        </div>
    </div>`;
}

/** @param {{ file: any, number: number, scale: number }} props */
function Page({ file, number, scale }) {
    const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
    const [isSeen, setSeen] = useState(number === 1);
    useEffect(() => {
        const watcher = new IntersectionObserver(
            (entries) => {
                if (entries.some(({ isIntersecting }) => isIntersecting)) setSeen(true);
            },
            { rootMargin: '600px' },
        );
        if (canvas.current) watcher.observe(canvas.current);
        return () => watcher.disconnect();
    }, []);
    useEffect(() => {
        if (!isSeen) return undefined;
        /** @type {any} */
        let drawing;
        let isOver = false;
        void (async () => {
            const page = await file.getPage(number);
            const element = canvas.current;
            if (isOver || !element) return;
            const ratio = window.devicePixelRatio || 1;
            const viewport = page.getViewport({ scale: scale * ratio });
            [element.width, element.height] = [Math.floor(viewport.width), Math.floor(viewport.height)];
            element.style.width = `${viewport.width / ratio}px`;
            drawing = page.render({ canvas: element, viewport });
            // A drawing that was given up ends with an error that means nothing.
            await drawing.promise.catch(() => {});
        })();
        return () => {
            isOver = true;
            drawing?.cancel();
        };
    }, [isSeen, scale]);
    return html`<canvas ref=${canvas} role="img" aria-label=${`Page ${number}`}></canvas>`;
}
