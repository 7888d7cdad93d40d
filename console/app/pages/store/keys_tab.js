// The keys of a store, a page at a time, and the record that is open beside them.

import * as records from '../../calls/records.js';
import { Button } from '../../components/button.js';
import { ChosenBar } from '../../components/choice.js';
import { SearchField } from '../../components/field.js';
import { Pager } from '../../components/pager.js';
import { Failure, Loading } from '../../components/states.js';
import { Tabs } from '../../components/tabs.js';
import { counted } from '../../format.js';
import { useLoad } from '../../load.js';
import { goWith, usePlace } from '../../router.js';
import { useSelection } from '../../selection.js';
import { html, useEffect, useMemo, useRef, useState } from '../../view.js';
import { DeleteRecords } from './delete_records.js';
import { DownloadButtons } from './downloads.js';
import { Gallery } from './gallery.js';
import { KeyTable, NoKeys } from './key_table.js';
import { Record } from './record.js';
import { UploadButton, UploadList, useUploads } from './upload.js';
import { CreateRecord } from './create_record.js';

/** Keys on a page. */
const PAGE = 100;

/** Delay between the last key stroke and the search (milliseconds). */
const PATIENCE = 200;

/** Name of the tab of all records, among those of collections. */
const ALL = '';

/** @param {import('./store.js').TabProps} props */
export function KeysTab({ store, onReload }) {
    const { query } = usePlace();
    const prefix = query.get('prefix') ?? '';
    const collection = query.get('collection') ?? ALL;
    const after = query.get('after') ?? '';
    const open = query.get('key');
    const page = useLoad(
        (signal) => records.list(store.id, { limit: PAGE, exclusiveStartKey: after, prefix, collection }, signal),
        [store.id, after, prefix, collection],
        { keeps: true },
    );
    const trail = useRef(/** @type {string[]} */ ([]));
    const [asks, setAsks] = useState(/** @type {'delete' | 'create' | null} */ (null));
    const items = page.value?.items ?? [];
    const keys = useMemo(() => items.map(({ key }) => key), [page.value]);
    const selection = useSelection(keys);
    const chosen = keys.filter((/** @type {string} */ key) => selection.chosen.has(key));
    const mayWrite = store.right === 'write' || store.right === 'manage';
    const changed = () => {
        page.reload();
        onReload();
    };
    const uploads = useUploads(store.id, changed);
    const isGallery = query.get('view') === 'gallery';
    return html`<div class="keys ${open ? 'has-record' : ''}" ...${mayWrite ? uploads.dropping : {}}>
        <section class="list" aria-label="Records">
            <${Collections} schema=${store.schema} current=${collection} />
            <div class="tools">
                <${Prefix} prefix=${prefix} />
                <${Button}
                    icon="gallery"
                    kind="quiet"
                    label=${isGallery ? 'Show as a table' : 'Show images as a gallery'}
                    aria-pressed=${isGallery ? 'true' : 'false'}
                    onClick=${() => goWith({ view: isGallery ? null : 'gallery', key: null })}
                />
                <${Button} icon="refresh" kind="quiet" label="Refresh" onClick=${changed} />
                <span class="actions">
                    <${DownloadButtons} store=${store} prefix=${prefix} collection=${collection} />
                    ${mayWrite && html`<${Button} icon="plus" onClick=${() => setAsks('create')}>New record<//>`}
                    ${mayWrite && html`<${UploadButton} uploads=${uploads} />`}
                </span>
            </div>
            <${UploadList} uploads=${uploads} />
            <${ChosenBar}
                number=${chosen.length}
                of=${chosen.length === 1 ? 'record' : 'records'}
                onClear=${() => selection.only([])}
            >
                <${DownloadButtons} store=${store} keys=${chosen} />
                ${mayWrite && html`<${Button} icon="trash" kind="danger" onClick=${() => setAsks('delete')}>Delete<//>`}
            <//>
            ${page.error && html`<${Failure} error=${page.error} onRetry=${page.reload} />`}
            ${!page.value && page.isLoading && html`<${Loading} what="records" />`}
            ${page.value && items.length === 0 && html`<${NoKeys} prefix=${prefix} after=${after} mayWrite=${mayWrite} />`}
            ${
                items.length > 0 &&
                (isGallery && !open
                    ? html`<${Gallery} store=${store} keys=${keys} />`
                    : html`<${KeyTable}
                          store=${store}
                          items=${items}
                          open=${open}
                          selection=${selection}
                          ids=${keys}
                      />`)
            }
            ${page.value && html`<${Turn} page=${page.value} after=${after} trail=${trail} />`}
        </section>
        ${
            open !== null &&
            html`<${Record}
                key=${open}
                store=${store}
                name=${open}
                keys=${keys}
                mayWrite=${mayWrite}
                onChanged=${changed}
            />`
        }
        ${
            asks === 'delete' &&
            html`<${DeleteRecords} store=${store} keys=${chosen} onClose=${() => setAsks(null)} onDeleted=${changed} />`
        }
        ${asks === 'create' && html`<${CreateRecord} store=${store} onClose=${() => setAsks(null)} onCreated=${changed} />`}
    </div>`;
}

/**
 * The search by how keys begin, which goes into the address a moment after the last key.
 * @param {{ prefix: string }} props
 */
function Prefix({ prefix }) {
    const [typed, setTyped] = useState(prefix);
    useEffect(() => setTyped(prefix), [prefix]);
    useEffect(() => {
        if (typed === prefix) return undefined;
        const timer = setTimeout(() => goWith({ prefix: typed, after: null }), PATIENCE);
        return () => clearTimeout(timer);
    }, [typed, prefix]);
    return html`<${SearchField}
        label="Search records by how their keys begin"
        placeholder="Key begins with…"
        value=${typed}
        onInput=${setTyped}
    />`;
}

/** A tab for each collection of the schema. @param {{ schema: any, current: string }} props */
function Collections({ schema, current }) {
    const collections = Object.entries(schema?.collections ?? {});
    if (collections.length === 0) return null;
    const tabs = [
        { name: ALL, title: 'All records' },
        ...collections.map(([name, value]) => ({ name, title: /** @type {any} */ (value).title ?? name })),
    ];
    return html`<${Tabs}
        label="Collections"
        tabs=${tabs}
        current=${current}
        onChange=${(/** @type {string} */ name) => goWith({ collection: name || null, after: null, key: null })}
    />`;
}

/**
 * Goes to the next page, or back in the history; without a history (after a link), to the first page.
 * @param {{ page: records.KeyPage, after: string, trail: { current: string[] } }} props
 */
function Turn({ page, after, trail }) {
    const next = page.nextExclusiveStartKey;
    const { items } = page;
    if (!after && !page.isTruncated) return html`<p class="dim">${counted(items.length, 'record')}</p>`;
    const forth = () => {
        trail.current.push(after);
        goWith({ after: next, key: null }, { replace: false });
    };
    const back = () => goWith({ after: trail.current.pop() ?? null, key: null }, { replace: false });
    return html`<${Pager}
        text=${items.length === 0 ? 'Nothing more' : html`<code>${items[0].key}</code> … <code>${items[items.length - 1].key}</code>`}
        onBack=${after ? back : undefined}
        onNext=${page.isTruncated && next ? forth : undefined}
    >
        ${after && html`<${Button} kind="quiet" onClick=${() => goWith({ after: null, key: null }, { replace: false })}>First page<//>`}
    <//>`;
}
