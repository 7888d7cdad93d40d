// A store: its keys and records, its settings, how it is shared, and how programs reach it.

import * as stores from '../../calls/stores.js';
import { CopyButton } from '../../components/copy.js';
import { PageHead } from '../../components/layout.js';
import { Empty, Failure, Loading } from '../../components/states.js';
import { Tabs } from '../../components/tabs.js';
import { Time } from '../../components/time.js';
import { ApiError } from '../../api.js';
import { counted, retention, size } from '../../format.js';
import { useLoad } from '../../load.js';
import { address, go, usePlace } from '../../router.js';
import { html } from '../../view.js';
import { ApiTab } from './api_tab.js';
import { KeysTab } from './keys_tab.js';
import { SettingsTab } from './settings_tab.js';
import { ShareTab } from './share_tab.js';

const PANEL = 'store-panel';

/**
 * Props of every tab: the store, and a callback for a newer version.
 * @typedef {object} TabProps
 * @property {stores.Store} store
 * @property {(store: stores.Store) => void} onStore shows a store that an answer has brought
 * @property {() => void} onReload asks for it again
 */

/** @type {{ name: string, title: string, View: (props: TabProps) => any }[]} */
const TABS = [
    { name: 'keys', title: 'Records', View: KeysTab },
    { name: 'settings', title: 'Settings', View: SettingsTab },
    { name: 'share', title: 'Share', View: ShareTab },
    { name: 'api', title: 'API', View: ApiTab },
];

/** @param {{ id: string }} props the id, or owner~name */
export function StorePage({ id }) {
    const { query } = usePlace();
    const loaded = useLoad((signal) => stores.get(id, signal), [id]);
    const store = loaded.value;
    if (!store) {
        if (loaded.error) return html`<${Missing} error=${loaded.error} onRetry=${loaded.reload} />`;
        return html`<${Loading} what="the store" />`;
    }
    const tab = TABS.find(({ name }) => name === query.get('tab')) ?? TABS[0];
    /** @param {string} name */
    const turn = (name) => go(address(['key-value-stores', id], { tab: name === 'keys' ? null : name }));
    return html`
        <${PageHead}
            title=${stores.nameOf(store)}
            above=${html`<a href=${address(['key-value-stores'])}>Stores</a>`}
            below=${html`<${Facts} store=${store} />`}
        />
        <${Tabs} label="Store" tabs=${TABS} current=${tab.name} onChange=${turn} panel=${PANEL} />
        ${loaded.error && html`<${Failure} error=${loaded.error} onRetry=${loaded.reload} />`}
        <div id=${PANEL} class="tab" role="tabpanel" aria-label=${tab.title}>
            <${tab.View} key=${tab.name} store=${store} onStore=${loaded.put} onReload=${loaded.reload} />
        </div>
    `;
}

/** Summary of a store. @param {{ store: stores.Store }} props */
function Facts({ store }) {
    const { stats } = store;
    return html`<span class="facts-line">
        ${store.title && html`<span>${store.title}</span>`}
        <span><code>${store.id}</code> <${CopyButton} text=${store.id} label="Copy id" /></span>
        ${
            stats.itemCount !== undefined &&
            html`<span title=${`As of ${stats.countedAt}`}
                >${counted(stats.itemCount, 'record')}, ${size(stats.storageBytes)}</span
            >`
        }
        <span>
            ${
                store.expiresAt
                    ? html`expires <${Time} at=${store.expiresAt} /> (${retention(store.retentionDays)} after its last
                          change)`
                    : 'kept for ever'
            }
        </span>
        ${store.right === 'read' && html`<span class="badge">read only</span>`}
        ${store.right === null && html`<span class="badge">public, read only</span>`}
        ${store.move && html`<span class="badge warn">moving its records</span>`}
    </span>`;
}

/** @param {{ error: Error, onRetry: () => void }} props */
function Missing({ error, onRetry }) {
    const back = html`<p><a href=${address(['key-value-stores'])}>All stores</a></p>`;
    if (error instanceof ApiError && error.status === 404) {
        return html`<${PageHead} title="No such store" />
            <${Empty} icon="clock" title="Store not found">
                <p>
                    It has expired, it was deleted, or its id is a different one. A store without a name lives for some
                    days after its last change, and one that has expired does not come back.
                </p>
                ${back}
            <//>`;
    }
    return html`<${PageHead} title="Store" /><${Failure} error=${error} onRetry=${onRetry} />${back}`;
}
