// The dialog that deletes stores, once the user has typed a confirmation.

import * as stores from '../calls/stores.js';
import { FormDialog } from '../components/dialog.js';
import { TextField } from '../components/field.js';
import { toast } from '../components/toast.js';
import { counted } from '../format.js';
import { useAction } from '../load.js';
import { html, useState } from '../view.js';

/** Maximum number of stores listed by name. */
const NAMED = 8;

/** @param {{ stores: stores.Store[], onClose: () => void, onDeleted: () => void }} props */
export function DeleteStores({ stores: doomed, onClose, onDeleted }) {
    const [all] = useState(doomed);
    const [typed, setTyped] = useState('');
    const isOne = all.length === 1;
    const wanted = isOne ? stores.nameOf(all[0]) : `delete ${all.length} stores`;
    const doing = useAction(async () => {
        let deleted = 0;
        try {
            for (const { id } of all) {
                await stores.remove(id);
                deleted += 1;
            }
        } finally {
            if (deleted > 0) {
                toast(`${counted(deleted, 'store')} deleted`);
                onDeleted();
            }
        }
    });
    return html`<${FormDialog}
        title=${isOne ? 'Delete store' : `Delete ${all.length} stores`}
        action="Delete"
        kind="danger"
        isReady=${typed.trim() === wanted}
        doing=${doing}
        onClose=${onClose}
    >
        <p>
            ${isOne ? 'The store and all its records are' : 'These stores and all their records are'} gone at once, and
            do not come back.
        </p>
        <ul class="doomed">
            ${all.slice(0, NAMED).map(
                (store) =>
                    html`<li key=${store.id}>
                        <strong>${stores.nameOf(store)}</strong>
                        ${store.stats.itemCount !== undefined && html` <span class="dim">${counted(store.stats.itemCount, 'record')}</span>`}
                    </li>`,
            )}
            ${all.length > NAMED && html`<li>and ${all.length - NAMED} more</li>`}
        </ul>
        <${TextField} label=${`Type “${wanted}” to confirm`} value=${typed} onInput=${setTyped} isMono autofocus />
    <//>`;
}
