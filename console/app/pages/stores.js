// All stores of the user, and stores shared with the user: search, create, delete.

import * as stores from '../calls/stores.js';
import { Button } from '../components/button.js';
import { Choice, ChoiceOfAll, ChosenBar } from '../components/choice.js';
import { CheckField, SearchField, SelectField } from '../components/field.js';
import { PageHead } from '../components/layout.js';
import { Pager } from '../components/pager.js';
import { Empty, Failure, Loading } from '../components/states.js';
import { Time } from '../components/time.js';
import { count, counted, size } from '../format.js';
import { useLoad } from '../load.js';
import { address, goWith, usePlace } from '../router.js';
import { useSelection } from '../selection.js';
import { html, useEffect, useMemo, useState } from '../view.js';
import { CreateStore } from './create_store.js';
import { DeleteStores } from './delete_stores.js';

/** Stores on a page. */
const PAGE = 50;

/** Delay between the last key stroke and the search (milliseconds). */
const PATIENCE = 200;

/** The page. What it shows is in its address, so that it can be sent, and gone back to. */
export function Stores() {
    const { query } = usePlace();
    const search = query.get('search') ?? '';
    const unnamed = query.get('unnamed') === 'true';
    const ownership = query.get('ownership') ?? '';
    const offset = Math.max(0, Number(query.get('offset') ?? 0) || 0);
    const page = useLoad(
        (signal) => stores.list({ offset, limit: PAGE, unnamed, search, desc: true, ownership }, signal),
        [offset, unnamed, search, ownership],
        { keeps: true },
    );
    const [asks, setAsks] = useState(/** @type {'create' | 'delete' | null} */ (null));
    const items = page.value?.items ?? [];
    const ids = useMemo(() => items.map(({ id }) => id), [page.value]);
    const selection = useSelection(ids);
    const chosen = items.filter(({ id }) => selection.chosen.has(id));
    return html`
        <${PageHead} title="Stores">
            <${Button} icon="plus" kind="primary" onClick=${() => setAsks('create')}>Create store<//>
        <//>
        <div class="tools">
            <${Search} search=${search} />
            <${SelectField}
                label="Whose"
                value=${ownership}
                options=${[
                    ['', 'All'],
                    ['ownedByMe', 'Mine'],
                    ['sharedWithMe', 'Shared with me'],
                ]}
                onInput=${(/** @type {string} */ value) => goWith({ ownership: value, offset: null })}
            />
            <${CheckField}
                label="Include unnamed stores"
                checked=${unnamed}
                onInput=${(/** @type {boolean} */ on) => goWith({ unnamed: on ? 'true' : null, offset: null })}
            />
            <${Button} icon="refresh" kind="quiet" label="Refresh" onClick=${page.reload} />
        </div>
        <${ChosenBar}
            number=${chosen.length}
            of=${chosen.length === 1 ? 'store' : 'stores'}
            onClear=${() => selection.only([])}
        >
            <${Button} icon="trash" kind="danger" onClick=${() => setAsks('delete')}>Delete<//>
        <//>
        ${page.error && html`<${Failure} error=${page.error} onRetry=${page.reload} />`}
        ${
            page.value
                ? html`<${List}
                      page=${page.value}
                      selection=${selection}
                      ids=${ids}
                      filters=${{ search, unnamed, ownership }}
                  />`
                : page.isLoading && html`<${Loading} what="stores" />`
        }
        ${asks === 'create' && html`<${CreateStore} onClose=${() => setAsks(null)} />`}
        ${
            asks === 'delete' &&
            html`<${DeleteStores} stores=${chosen} onClose=${() => setAsks(null)} onDeleted=${page.reload} />`
        }
    `;
}

/**
 * The search, which goes into the address a moment after the last key.
 * @param {{ search: string }} props
 */
function Search({ search }) {
    const [typed, setTyped] = useState(search);
    useEffect(() => setTyped(search), [search]);
    useEffect(() => {
        if (typed === search) return undefined;
        const timer = setTimeout(() => goWith({ search: typed, offset: null }), PATIENCE);
        return () => clearTimeout(timer);
    }, [typed, search]);
    return html`<${SearchField}
        label="Search stores"
        placeholder="Name, title or id"
        value=${typed}
        onInput=${setTyped}
    />`;
}

/**
 * @param {{
 *   page: { total: number, offset: number, items: stores.Store[] }, ids: string[],
 *   selection: import('../selection.js').Selection, filters: { search: string, unnamed: boolean, ownership: string },
 * }} props
 */
function List({ page, selection, ids, filters }) {
    if (page.total === 0) return html`<${None} ...${filters} />`;
    const { offset, total, items } = page;
    /** @param {number} to */
    const turn = (to) => goWith({ offset: to === 0 ? null : String(to) }, { replace: false });
    return html`
        <div class="table" tabindex="0" role="region" aria-label="Stores">
            <table>
                <thead>
                    <tr>
                        <th class="box">
                            <${ChoiceOfAll} ids=${ids} label="Select all stores on this page" selection=${selection} />
                        </th>
                        <th>Name</th>
                        <th class="number">Records</th>
                        <th class="number wide">Size</th>
                        <th class="wide">Created</th>
                        <th class="wide">Changed</th>
                        <th>Expires</th>
                    </tr>
                </thead>
                <tbody>
                    ${items.map((store) => html`<${Row} key=${store.id} store=${store} selection=${selection} />`)}
                </tbody>
            </table>
        </div>
        <${Pager}
            text=${
                items.length === 0
                    ? `Nothing here, of ${counted(total, 'store')}`
                    : `${count(offset + 1)}–${count(offset + items.length)} of ${counted(total, 'store')}`
            }
            onBack=${offset > 0 ? () => turn(Math.max(0, Math.min(offset - PAGE, total - 1))) : undefined}
            onNext=${offset + items.length < total ? () => turn(offset + PAGE) : undefined}
        />
    `;
}

/** @param {{ store: stores.Store, selection: import('../selection.js').Selection }} props */
function Row({ store, selection }) {
    const { stats } = store;
    const hint = stats.countedAt ? undefined : 'Not counted yet';
    return html`<tr class=${selection.chosen.has(store.id) ? 'is-chosen' : ''}>
        <td class="box"><${Choice} id=${store.id} label=${stores.nameOf(store)} selection=${selection} /></td>
        <td class="name">
            <a href=${address(['key-value-stores', store.id])}>
                ${store.name ? html`<strong>${store.name}</strong>` : html`<code>${store.id}</code>`}
            </a>
            ${store.title && html`<span class="dim">${store.title}</span>`}
            ${store.actRunId && html`<span class="badge">run</span>`}
        </td>
        <td class="number" title=${hint}>${count(stats.itemCount)}</td>
        <td class="number wide" title=${hint}>${size(stats.storageBytes)}</td>
        <td class="wide"><${Time} at=${store.createdAt} /></td>
        <td class="wide"><${Time} at=${store.modifiedAt} /></td>
        <td>${store.expiresAt ? html`<${Time} at=${store.expiresAt} />` : html`<span class="dim">never</span>`}</td>
    </tr>`;
}

/** @param {{ search: string, unnamed: boolean, ownership: string }} props */
function None({ search, unnamed, ownership }) {
    if (search) {
        return html`<${Empty} icon="search" title="No store matches">
            <p>Nothing has “${search}” in its name or title, or at the beginning of its id.</p>
            ${
                !unnamed &&
                html`<p><${Button} onClick=${() => goWith({ unnamed: 'true' })}>Search unnamed stores, too<//></p>`
            }
        <//>`;
    }
    if (ownership === 'sharedWithMe') {
        return html`<${Empty} icon="people" title="Nothing is shared with you">
            <p>Stores that other users share with you appear here.</p>
        <//>`;
    }
    return html`<${Empty} title=${unnamed ? 'No stores yet' : 'No named stores yet'}>
        <p>A store holds records: bytes with a media type. Named stores are kept forever.</p>
        ${
            !unnamed &&
            html`<p>
                Stores without a name, such as those of runs, are shown with${' '}
                <button type="button" class="link" onClick=${() => goWith({ unnamed: 'true' })}>
                    Include unnamed stores</button
                >.
            </p>`
        }
    <//>`;
}
