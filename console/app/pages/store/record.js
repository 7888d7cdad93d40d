// One record: what it is, what can be done with it, and a look at it that suits its type.

import * as records from '../../calls/records.js';
import { viewLink } from '../../calls/stores.js';
import { Button, ButtonLink } from '../../components/button.js';
import { CopyButton } from '../../components/copy.js';
import { Empty, Failure, Loading } from '../../components/states.js';
import { Time } from '../../components/time.js';
import { toast } from '../../components/toast.js';
import { ApiError } from '../../api.js';
import { size } from '../../format.js';
import { useLoad } from '../../load.js';
import { isEditable, kindOf } from '../../media.js';
import { goWith, usePlace } from '../../router.js';
import { html, useEffect, useRef, useState } from '../../view.js';
import { DeleteRecords } from './delete_records.js';
import { downloadRecord } from './downloads.js';
import { Editor } from './editor.js';
import { recordAddress } from './key_table.js';
import { View } from './viewers/view.js';

/** The largest record that can be edited here (bytes). */
const EDITABLE = 2 * 1024 * 1024;

/**
 * @param {{
 *   store: import('../../calls/stores.js').Store, name: string, keys: string[], mayWrite: boolean, onChanged: () => void,
 * }} props `keys`: those of the page that it is on, among which one walks
 */
export function Record({ store, name, keys, mayWrite, onChanged }) {
    const head = useLoad((signal) => records.head(store.id, name, signal), [store.id, name]);
    const [isEditing, setEditing] = useState(false);
    const known = head.value;
    const kind = known ? kindOf(known.type) : 'binary';
    const canEdit = mayWrite && known && isEditable(kind, known.type) && (known.size ?? 0) <= EDITABLE;
    const saved = () => {
        setEditing(false);
        head.reload();
        onChanged();
    };
    return html`<section class="record" aria-label="Record">
        <${Head} store=${store} name=${name} keys=${keys} head=${known}>
            ${canEdit && !isEditing && html`<${Button} icon="edit" onClick=${() => setEditing(true)}>Edit<//>`}
            <${Actions} store=${store} name=${name} mayWrite=${mayWrite} onChanged=${onChanged} />
        <//>
        ${head.error && html`<${Trouble} error=${head.error} onRetry=${head.reload} />`}
        ${!known && head.isLoading && html`<${Loading} what="the record" />`}
        ${
            known &&
            !head.error &&
            (isEditing
                ? html`<${Editor} store=${store} name=${name} onSaved=${saved} onCancel=${() => setEditing(false)} />`
                : html`<${View} key=${known.etag} store=${store} name=${name} head=${known} kind=${kind} />`)
        }
    </section>`;
}

/**
 * @param {{
 *   store: import('../../calls/stores.js').Store, name: string, keys: string[], head: records.Head | undefined, children?: any,
 * }} props
 */
function Head({ store, name, keys, head, children }) {
    const { query } = usePlace();
    const title = useRef(/** @type {HTMLElement | null} */ (null));
    const at = keys.indexOf(name);
    const [before, after] = at < 0 ? [undefined, undefined] : [keys[at - 1], keys[at + 1]];
    /** @param {string | undefined} key */
    const to = (key) => (key === undefined ? undefined : recordAddress(query, store.id, key));
    useEffect(() => {
        document.title = `${name} · ${store.name ?? store.id} · Larder`;
        title.current?.focus({ preventScroll: true });
    }, [name]);
    useEffect(() => {
        /** @param {KeyboardEvent} event */
        const walk = (event) => {
            const isTyping =
                event.target instanceof Element &&
                event.target.closest('input, textarea, select, dialog, [role=tree], [role=tablist], audio, video');
            if (isTyping || event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
            const key = { ArrowLeft: before, ArrowRight: after }[event.key];
            if (event.key === 'Escape') goWith({ key: null }, { replace: false });
            else if (key !== undefined) goWith({ key });
        };
        window.addEventListener('keydown', walk);
        return () => window.removeEventListener('keydown', walk);
    }, [before, after]);
    return html`<header class="record-head">
        <div class="walk">
            <${Step} icon="left" label="Previous record" to=${to(before)} />
            <${Step} icon="right" label="Next record" to=${to(after)} />
        </div>
        <div class="titles">
            <h2 ref=${title} tabindex="-1"><code>${name}</code></h2>
            ${
                head &&
                html`<p class="dim">
                    <span>${head.type}</span>${head.size !== null && html` · <span>${size(head.size)}</span>`} ·
                    changed${' '}
                    <${Time} at=${head.modified && new Date(head.modified).toISOString()} />
                </p>`
            }
        </div>
        <div class="actions">
            ${children}
            <${Button}
                icon="cross"
                kind="quiet"
                label="Close record"
                onClick=${() => goWith({ key: null }, { replace: false })}
            />
        </div>
    </header>`;
}

/** @param {{ icon: import('../../components/icon.js').IconName, label: string, to: string | undefined }} props */
function Step({ icon, label, to }) {
    return to
        ? html`<${ButtonLink} icon=${icon} kind="quiet" label=${label} href=${to} />`
        : html`<${Button} icon=${icon} kind="quiet" label=${label} disabled />`;
}

/**
 * @param {{ store: import('../../calls/stores.js').Store, name: string, mayWrite: boolean, onChanged: () => void }} props
 */
function Actions({ store, name, mayWrite, onChanged }) {
    const [isDeleting, setDeleting] = useState(false);
    const download = async () => {
        try {
            await downloadRecord(store.id, name);
        } catch (error) {
            toast(error instanceof Error ? error.message : String(error), 'error');
        }
    };
    const gone = () => {
        goWith({ key: null });
        onChanged();
    };
    // Who may write may sign links that never end; anybody else gets one that opens for some minutes.
    const link = mayWrite
        ? html`<${CopyButton} make=${() => records.lastingLink(store.id, name)} label="Copy link" />`
        : html`<${CopyButton}
              make=${async () => (await viewLink(store.id, name)).url}
              label="Copy link that opens for 15 minutes"
          />`;
    return html`
        ${link}
        <${Button} icon="download" kind="quiet" label="Download record" onClick=${download} />
        ${mayWrite && html`<${Button} icon="trash" kind="quiet" label="Delete record" onClick=${() => setDeleting(true)} />`}
        ${
            isDeleting &&
            html`<${DeleteRecords}
                store=${store}
                keys=${[name]}
                onClose=${() => setDeleting(false)}
                onDeleted=${gone}
            />`
        }
    `;
}

/** @param {{ error: Error, onRetry: () => void }} props */
function Trouble({ error, onRetry }) {
    if (error instanceof ApiError && error.status === 404) {
        return html`<${Empty} icon="file" title="No such record"><p>It was never written, or it was deleted.</p><//>`;
    }
    return html`<${Failure} error=${error} onRetry=${onRetry} />`;
}
