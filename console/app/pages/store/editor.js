// Editing a record as text. It is saved only over the version that was read: if it has changed since, the user is asked.

import * as records from '../../calls/records.js';
import { Button } from '../../components/button.js';
import { inputOf } from '../../components/field.js';
import { Failure, Loading } from '../../components/states.js';
import { toast } from '../../components/toast.js';
import { ApiError } from '../../api.js';
import { useAction, useLoad } from '../../load.js';
import { charsetOf, kindOf } from '../../media.js';
import { html, useEffect, useId, useState } from '../../view.js';

/**
 * @param {{
 *   store: import('../../calls/stores.js').Store, name: string, onSaved: () => void, onCancel: () => void,
 * }} props
 */
export function Editor({ store, name, onSaved, onCancel }) {
    const read = useLoad((signal) => readText(store.id, name, signal), [store.id, name]);
    if (read.error) return html`<${Failure} error=${read.error} onRetry=${read.reload} />`;
    if (!read.value) return html`<${Loading} what="the record" />`;
    return html`<${Area} ...${{ store, name, onSaved, onCancel }} was=${read.value} />`;
}

/**
 * The text of the record, and its ETag.
 * @param {string} store
 * @param {string} key
 * @param {AbortSignal} [signal]
 */
async function readText(store, key, signal) {
    const answer = await records.get(store, key, { signal });
    const head = records.headOf(answer);
    const charset = charsetOf(head.type);
    const text = new TextDecoder(charset, { fatal: true, ignoreBOM: true }).decode(await answer.arrayBuffer());
    // What is typed is sent as UTF-8, and says so where it said something else.
    const type = charset === 'utf-8' ? head.type : head.type.replace(/(;\s*charset=)"?[^";\s]+"?/i, '$1utf-8');
    return { text, type, etag: head.etag ?? undefined };
}

/** @typedef {{ text: string, type: string, etag: string | undefined }} Was */

/**
 * @param {{
 *   store: import('../../calls/stores.js').Store, name: string, was: Was, onSaved: () => void, onCancel: () => void,
 * }} props
 */
function Area({ store, name, was, onSaved, onCancel }) {
    const [text, setText] = useState(was.text);
    const id = useId();
    const isChanged = text !== was.text;
    const mistake = kindOf(was.type) === 'json' ? mistakeOf(text) : null;
    const saving = useAction(async (/** @type {boolean} */ isOver) => {
        await records.put(store.id, name, text, was.type, isOver ? undefined : was.etag);
        toast('Saved');
        onSaved();
    });
    useEffect(() => {
        /** @param {BeforeUnloadEvent} event */
        const warn = (event) => {
            if (isChanged) event.preventDefault();
        };
        window.addEventListener('beforeunload', warn);
        return () => window.removeEventListener('beforeunload', warn);
    }, [isChanged]);
    /** @param {KeyboardEvent} event */
    const shortcut = (event) => {
        if (event.key === 's' && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            if (isChanged) void saving.run(false);
        }
    };
    const isConflict = saving.error instanceof ApiError && saving.error.status === 412;
    return html`<div class="editor" onKeyDown=${shortcut}>
        <label class="offscreen" for=${id}>Value of ${name}</label>
        <textarea
            id=${id}
            class="mono"
            spellcheck=${false}
            value=${text}
            onInput=${(/** @type {Event} */ event) => setText(inputOf(event).value)}
        ></textarea>
        ${mistake && html`<p class="notice" role="status">This is not JSON: ${mistake}</p>`}
        ${saving.error && !isConflict && html`<${Failure} error=${saving.error} />`}
        ${
            isConflict &&
            html`<div class="failure" role="alert">
                <div>
                    <p class="what">This record has changed since you opened it.</p>
                    <p>Nothing was saved. Cancel to see what is there now, or write over it.</p>
                </div>
                <${Button} kind="danger" isBusy=${saving.isRunning} onClick=${() => saving.run(true)}>Overwrite it<//>
            </div>`
        }
        <div class="row end">
            <${Button} onClick=${isConflict ? onSaved : onCancel}>Cancel<//>
            <${Button}
                kind="primary"
                isBusy=${saving.isRunning}
                disabled=${!isChanged || mistake !== null}
                onClick=${() => saving.run(false)}
                >Save<//
            >
        </div>
    </div>`;
}

/** Why a text is no JSON. @param {string} text @returns {string | null} */
function mistakeOf(text) {
    try {
        JSON.parse(text);
        return null;
    } catch (error) {
        return error instanceof Error ? error.message : String(error);
    }
}
