// The keys of a page as a table.

import { Choice, ChoiceOfAll } from '../../components/choice.js';
import { Empty } from '../../components/states.js';
import { size } from '../../format.js';
import { address, usePlace } from '../../router.js';
import { html, useEffect, useRef } from '../../view.js';
import { CopyButton } from '../../components/copy.js';

/**
 * The address of a record's page, on the page of keys where one is.
 * @param {URLSearchParams} query
 * @param {string} store
 * @param {string} key
 */
export function recordAddress(query, store, key) {
    return address(['key-value-stores', store], { ...Object.fromEntries(query), key });
}

/**
 * @param {{
 *   store: import('../../calls/stores.js').Store, items: import('../../calls/records.js').Key[], open: string | null,
 *   selection: import('../../selection.js').Selection, ids: string[],
 * }} props
 */
export function KeyTable({ store, items, open, selection, ids }) {
    return html`<div class="table" tabindex="0" role="region" aria-label="Keys">
        <table>
            <thead>
                <tr>
                    <th class="box">
                        <${ChoiceOfAll} ids=${ids} label="Select all records on this page" selection=${selection} />
                    </th>
                    <th>Key</th>
                    <th class="number">Size</th>
                    <th class="link-of">Link</th>
                </tr>
            </thead>
            <tbody>
                ${items.map(
                    (item) =>
                        html`<${Row}
                            key=${item.key}
                            store=${store}
                            item=${item}
                            isOpen=${item.key === open}
                            selection=${selection}
                        />`,
                )}
            </tbody>
        </table>
    </div>`;
}

/**
 * @param {{
 *   store: import('../../calls/stores.js').Store, item: import('../../calls/records.js').Key, isOpen: boolean,
 *   selection: import('../../selection.js').Selection,
 * }} props
 */
function Row({ store, item, isOpen, selection }) {
    const { query } = usePlace();
    const row = useRef(/** @type {HTMLElement | null} */ (null));
    useEffect(() => {
        // Within the list alone: the page stays where it is.
        const list = row.current?.closest('.list');
        if (!isOpen || !row.current || !list || list.scrollHeight <= list.clientHeight) return;
        const [at, within] = [row.current.getBoundingClientRect(), list.getBoundingClientRect()];
        if (at.top < within.top || at.bottom > within.bottom) list.scrollTop += at.top - within.top - within.height / 2;
    }, [isOpen]);
    return html`<tr ref=${row} class="${selection.chosen.has(item.key) ? 'is-chosen' : ''} ${isOpen ? 'is-open' : ''}">
        <td class="box"><${Choice} id=${item.key} label=${item.key} selection=${selection} /></td>
        <td class="name">
            <a
                href=${recordAddress(query, store.id, item.key)}
                aria-current=${isOpen ? 'true' : undefined}
                title=${item.key}
                ><code>${item.key}</code></a
            >
        </td>
        <td class="number">${size(item.size)}</td>
        <td class="link-of"><${CopyButton} text=${item.recordPublicUrl} label=${`Copy link to ${item.key}`} /></td>
    </tr>`;
}

/** @param {{ prefix: string, after: string, mayWrite: boolean }} props */
export function NoKeys({ prefix, after, mayWrite }) {
    if (prefix) {
        return html`<${Empty} icon="search" title="No matching keys">
            <p>
                Keys are compared letter by letter, capitals and small letters apart. Nothing here begins with
                “${prefix}”.
            </p>
        <//>`;
    }
    if (after)
        return html`<${Empty} icon="file" title="Nothing more"><p>The records behind this place were deleted.</p><//>`;
    return html`<${Empty} icon="file" title="No records yet">
        <p>${mayWrite ? 'Drop files here, or use the API: the API tab has examples.' : 'This store is empty.'}</p>
    <//>`;
}
