// All images of a page of keys, small, walked by the arrow keys; one opens large.

import * as records from '../../calls/records.js';
import { Dialog } from '../../components/dialog.js';
import { Button } from '../../components/button.js';
import { Empty, Loading } from '../../components/states.js';
import { kindOf } from '../../media.js';
import { html, useEffect, useMemo, useRef, useState } from '../../view.js';
import { ImageView } from './viewers/image.js';

/** Number of concurrent requests for media types. */
const AT_ONCE = 8;

/** The largest image that is fetched to be shown small (bytes). */
const LARGEST = 32 * 1024 * 1024;

/** @param {{ store: import('../../calls/stores.js').Store, keys: string[] }} props */
export function Gallery({ store, keys }) {
    const { types, isDone } = useTypes(store.id, keys);
    const [open, setOpen] = useState(/** @type {string | null} */ (null));
    const images = useMemo(() => keys.filter((key) => kindOf(types.get(key)?.type ?? '') === 'image'), [keys, types]);
    const grid = useRef(/** @type {HTMLElement | null} */ (null));
    /** @param {KeyboardEvent} event */
    const walk = (event) => {
        const tiles = [...(grid.current?.querySelectorAll('button') ?? [])];
        const at = tiles.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
        const columns = tiles.filter((tile) => tile.offsetTop === tiles[0]?.offsetTop).length;
        const by = /** @type {Record<string, number>} */ ({
            ArrowRight: 1,
            ArrowLeft: -1,
            ArrowDown: columns,
            ArrowUp: -columns,
        })[event.key];
        const to =
            event.key === 'Home' ? 0 : event.key === 'End' ? tiles.length - 1 : by === undefined ? undefined : at + by;
        if (at < 0 || to === undefined) return;
        event.preventDefault();
        tiles[to]?.focus();
    };
    if (isDone && images.length === 0) {
        return html`<${Empty} icon="image" title="No images on this page"
            ><p>None of these records is an image.</p><//
        >`;
    }
    return html`
        ${!isDone && html`<${Loading} what="images" />`}
        <div class="gallery" role="group" aria-label="Images" ref=${grid} onKeyDown=${walk}>
            ${images.map(
                (/** @type {string} */ key) =>
                    html`<${Tile}
                        key=${key}
                        store=${store.id}
                        name=${key}
                        head=${types.get(key)}
                        onOpen=${() => setOpen(key)}
                    />`,
            )}
        </div>
        ${open !== null && html`<${Large} store=${store} name=${open} images=${images} head=${types.get(open)} onTurn=${setOpen} />`}
    `;
}

/**
 * Metadata of the records; filled in as responses arrive.
 * @param {string} store
 * @param {string[]} keys
 */
function useTypes(store, keys) {
    const [state, setState] = useState(() => ({
        types: /** @type {Map<string, records.Head>} */ (new Map()),
        isDone: false,
    }));
    useEffect(() => {
        const aborter = new AbortController();
        const types = new Map();
        const left = [...keys];
        setState({ types, isDone: false });
        const work = async () => {
            for (let key = left.shift(); key !== undefined && !aborter.signal.aborted; key = left.shift()) {
                try {
                    types.set(key, await records.head(store, key, aborter.signal));
                } catch {
                    // A record that was deleted meanwhile is skipped.
                }
                if (!aborter.signal.aborted) setState({ types: new Map(types), isDone: false });
            }
        };
        void Promise.all(Array.from({ length: AT_ONCE }, work)).then(() => {
            if (!aborter.signal.aborted) setState({ types: new Map(types), isDone: true });
        });
        return () => aborter.abort();
    }, [store, keys]);
    return state;
}

/** An image, fetched when it comes into sight. @param {{ store: string, name: string, head: records.Head | undefined, onOpen: () => void }} props */
function Tile({ store, name, head, onOpen }) {
    const tile = useRef(/** @type {HTMLElement | null} */ (null));
    const [url, setUrl] = useState(/** @type {string | null} */ (null));
    useEffect(() => {
        const aborter = new AbortController();
        let made = '';
        const watcher = new IntersectionObserver(
            (entries) => {
                if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
                watcher.disconnect();
                if ((head?.size ?? 0) > LARGEST) return;
                records
                    .get(store, name, { signal: aborter.signal })
                    .then((answer) => answer.blob())
                    .then((blob) => {
                        made = URL.createObjectURL(blob);
                        setUrl(made);
                    })
                    .catch(() => {});
            },
            { rootMargin: '300px' },
        );
        if (tile.current) watcher.observe(tile.current);
        return () => {
            watcher.disconnect();
            aborter.abort();
            if (made) URL.revokeObjectURL(made);
        };
    }, [store, name]);
    return html`<button type="button" class="tile" ref=${tile} onClick=${onOpen}>
        ${url ? html`<img src=${url} alt="" />` : html`<span class="blank"></span>`}
        <span class="name">${name}</span>
    </button>`;
}

/**
 * @param {{
 *   store: import('../../calls/stores.js').Store, name: string, images: string[], head: records.Head | undefined,
 *   onTurn: (key: string | null) => void,
 * }} props
 */
function Large({ store, name, images, head, onTurn }) {
    const at = images.indexOf(name);
    const [before, after] = [images[at - 1], images[at + 1]];
    useEffect(() => {
        /** @param {KeyboardEvent} event */
        const walk = (event) => {
            const to = { ArrowLeft: before, ArrowRight: after }[event.key];
            if (to !== undefined) onTurn(to);
        };
        window.addEventListener('keydown', walk);
        return () => window.removeEventListener('keydown', walk);
    }, [before, after]);
    return html`<${Dialog} title=${name} isWide onClose=${() => onTurn(null)}>
        <div class="body">
            <${ImageView} key=${name} store=${store} name=${name} head=${head} />
            <div class="row">
                <${Button} icon="left" disabled=${before === undefined} onClick=${() => onTurn(before)}
                    >Previous image<//
                >
                <${Button} icon="right" disabled=${after === undefined} onClick=${() => onTurn(after)}>Next image<//>
                <span class="dim" aria-live="polite">${at + 1} of ${images.length}</span>
            </div>
        </div>
    <//>`;
}
