// Uploads: by button or dropped on the page, a few at a time, each with how far it is. What is there already is not
// overwritten without a confirmation.

import { recordPath } from '../../calls/records.js';
import { Button } from '../../components/button.js';
import { size } from '../../format.js';
import { keyFor, typeOf } from '../../media.js';
import { within } from '../../root.js';
import { session } from '../../session.js';
import { html, useEffect, useRef, useState } from '../../view.js';

/** Number of concurrent uploads. */
const AT_ONCE = 3;

/**
 * @typedef {object} Upload
 * @property {number} id
 * @property {File} file
 * @property {string} key
 * @property {'waiting' | 'sending' | 'done' | 'exists' | 'failed' | 'stopped'} state
 * @property {number} sent bytes
 * @property {string} [message]
 */

/**
 * @typedef {object} Uploads
 * @property {Upload[]} all
 * @property {(files: Iterable<File>) => void} add
 * @property {(id: number) => void} replace sends it again, over what is there
 * @property {(id: number) => void} stop
 * @property {() => void} clear takes what is over from the list
 * @property {Record<string, (event: any) => void>} dropping what makes an element take files that are dropped on it
 */

let next = 1;

/**
 * The uploads to a store, for as long as its page is shown.
 * @param {string} store
 * @param {() => void} onDone after each that arrived
 * @returns {Uploads}
 */
export function useUploads(store, onDone) {
    const [, show] = useState(0);
    const all = useRef(/** @type {Upload[]} */ ([]));
    const sending = useRef(/** @type {Map<number, XMLHttpRequest>} */ (new Map()));
    const done = useRef(onDone);
    done.current = onDone;
    /** @param {number} id @param {Partial<Upload>} changes */
    const change = (id, changes) => {
        all.current = all.current.map((upload) => (upload.id === id ? { ...upload, ...changes } : upload));
        show((/** @type {number} */ times) => times + 1);
    };
    const advance = () => {
        while (sending.current.size < AT_ONCE) {
            const upload = all.current.find(({ state }) => state === 'waiting');
            if (!upload) return;
            start(upload, false);
        }
    };
    /** @param {Upload} upload @param {boolean} isOver whether it may replace what is there */
    const start = (upload, isOver) => {
        change(upload.id, { state: 'sending', sent: 0, message: undefined });
        const request = send(store, upload, isOver, (sent) => change(upload.id, { sent }));
        sending.current.set(upload.id, request);
        request.onloadend = () => {
            sending.current.delete(upload.id);
            const outcome = outcomeOf(request);
            change(upload.id, outcome);
            if (outcome.state === 'done') done.current();
            advance();
        };
    };
    useEffect(
        () => () => {
            for (const request of sending.current.values()) request.abort();
        },
        [store],
    );
    useEffect(() => {
        /** @param {BeforeUnloadEvent} event */
        const warn = (event) => {
            if (sending.current.size > 0) event.preventDefault();
        };
        window.addEventListener('beforeunload', warn);
        return () => window.removeEventListener('beforeunload', warn);
    }, []);
    /** @param {Iterable<File>} files */
    const add = (files) => {
        const more = [...files].map((file) => {
            next += 1;
            return { id: next, file, key: keyFor(file.name), state: /** @type {const} */ ('waiting'), sent: 0 };
        });
        all.current = [...all.current, ...more];
        show((/** @type {number} */ times) => times + 1);
        advance();
    };
    return {
        all: all.current,
        add,
        replace(id) {
            const upload = all.current.find((other) => other.id === id);
            if (upload) start(upload, true);
        },
        stop(id) {
            const request = sending.current.get(id);
            if (request) request.abort();
            else change(id, { state: 'stopped' });
        },
        clear() {
            all.current = all.current.filter(({ state }) => state === 'waiting' || state === 'sending');
            show((/** @type {number} */ times) => times + 1);
        },
        dropping: { onDragOver: allow, onDrop: (event) => drop(event, add) },
    };
}

/**
 * Begins to send. By XMLHttpRequest: `fetch` does not tell how far it is.
 * @param {string} store
 * @param {Upload} upload
 * @param {boolean} isOver
 * @param {(sent: number) => void} onProgress
 */
function send(store, { file, key }, isOver, onProgress) {
    const request = new XMLHttpRequest();
    request.open('PUT', within(recordPath(store, key)));
    const { token } = session.get();
    if (token) request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.setRequestHeader('Content-Type', typeOf(file));
    if (!isOver) request.setRequestHeader('If-None-Match', '*');
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.send(file);
    return request;
}

/**
 * @param {XMLHttpRequest} request
 * @returns {Partial<Upload> & { state: Upload['state'] }}
 */
function outcomeOf(request) {
    if (request.status >= 200 && request.status < 300) return { state: 'done' };
    if (request.status === 412) return { state: 'exists', message: 'There is a record of this key.' };
    if (request.status === 0)
        return { state: 'stopped', message: 'The upload was cancelled, or the gateway is unreachable.' };
    try {
        return { state: 'failed', message: JSON.parse(request.responseText).error.message };
    } catch {
        return { state: 'failed', message: `The gateway answered with status ${request.status}.` };
    }
}

/** @param {DragEvent} event */
function allow(event) {
    if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
}

/** @param {DragEvent} event @param {(files: Iterable<File>) => void} add */
function drop(event, add) {
    const files = event.dataTransfer?.files;
    if (!files?.length) return;
    event.preventDefault();
    add(files);
}

/** @param {{ uploads: Uploads }} props */
export function UploadButton({ uploads }) {
    const input = useRef(/** @type {HTMLInputElement | null} */ (null));
    const choose = () => {
        if (input.current?.files) uploads.add(input.current.files);
        if (input.current) input.current.value = '';
    };
    return html`<${Button} icon="upload" kind="primary" onClick=${() => input.current?.click()}>Upload<//>
        <input ref=${input} type="file" multiple hidden aria-label="Files to upload" onChange=${choose} />`;
}

/** Progress of each upload. @param {{ uploads: Uploads }} props */
export function UploadList({ uploads }) {
    const { all } = uploads;
    if (all.length === 0) return null;
    const left = all.filter(({ state }) => state === 'waiting' || state === 'sending').length;
    return html`<section class="panel uploads" aria-label="Uploads">
        <header>
            <h2 aria-live="polite">${left > 0 ? `Uploading, ${left} to go` : 'Uploads finished'}</h2>
            <${Button} kind="quiet" onClick=${uploads.clear} disabled=${left === all.length}>Clear<//>
        </header>
        <ul>
            ${all.map((upload) => html`<${Line} key=${upload.id} upload=${upload} uploads=${uploads} />`)}
        </ul>
    </section>`;
}

const STATES = {
    waiting: 'waiting',
    sending: '',
    done: 'done',
    exists: 'exists already',
    failed: 'failed',
    stopped: 'stopped',
};

/** @param {{ upload: Upload, uploads: Uploads }} props */
function Line({ upload, uploads }) {
    const { id, file, key, state, sent, message } = upload;
    const share = file.size === 0 ? 1 : sent / file.size;
    const isGoing = state === 'sending' || state === 'waiting';
    return html`<li>
        <code>${key}</code>
        ${key !== file.name && html`<span class="dim">from ${file.name}</span>`}
        <span class="dim">${typeOf(file).split(';')[0]}, ${size(file.size)}</span>
        ${
            isGoing
                ? html`<progress max="1" value=${share} aria-label=${`Upload of ${key}`}></progress>
                      <${Button} icon="cross" kind="quiet" label=${`Stop ${key}`} onClick=${() => uploads.stop(id)} />`
                : html`<span
                      class="badge ${state === 'done' ? 'good' : state === 'exists' ? 'warn' : 'bad'}"
                      title=${message}
                      >${STATES[state]}</span
                  >`
        }
        ${state === 'exists' && html`<${Button} onClick=${() => uploads.replace(id)}>Replace it<//>`}
        ${
            (state === 'failed' || state === 'stopped') &&
            html`<span class="dim">${message}</span><${Button} onClick=${() => uploads.replace(id)}>Try again<//>`
        }
    </li>`;
}
