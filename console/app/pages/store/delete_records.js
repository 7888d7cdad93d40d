// The dialog that deletes records.

import * as records from '../../calls/records.js';
import { FormDialog } from '../../components/dialog.js';
import { toast } from '../../components/toast.js';
import { counted } from '../../format.js';
import { useAction } from '../../load.js';
import { html, useState } from '../../view.js';

/** Number of concurrent deletions. */
const AT_ONCE = 6;

/** Maximum number of keys listed by name. */
const NAMED = 8;

/**
 * @param {{ store: import('../../calls/stores.js').Store, keys: string[], onClose: () => void, onDeleted: () => void }} props
 */
export function DeleteRecords({ store, keys: doomed, onClose, onDeleted }) {
    const [keys] = useState(doomed);
    const doing = useAction(async () => {
        const left = [...keys];
        let deleted = 0;
        const work = async () => {
            for (let key = left.shift(); key !== undefined; key = left.shift()) {
                await records.remove(store.id, key);
                deleted += 1;
            }
        };
        try {
            await Promise.all(Array.from({ length: AT_ONCE }, work));
        } finally {
            if (deleted > 0) {
                toast(`${counted(deleted, 'record')} deleted`);
                onDeleted();
            }
        }
    });
    const title = keys.length === 1 ? 'Delete record' : `Delete ${keys.length} records`;
    return html`<${FormDialog} title=${title} action="Delete" kind="danger" doing=${doing} onClose=${onClose}>
        <p>
            ${keys.length === 1 ? 'The record is' : 'These records are'} gone at once, and${' '}
            ${keys.length === 1 ? 'does' : 'do'} not come back.
        </p>
        <ul class="doomed">
            ${keys.slice(0, NAMED).map((/** @type {string} */ key) => html`<li key=${key}><code>${key}</code></li>`)}
            ${keys.length > NAMED && html`<li>and ${keys.length - NAMED} more</li>`}
        </ul>
    <//>`;
}
