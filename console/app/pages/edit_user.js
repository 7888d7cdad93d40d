// The dialog with a user's settings: defaults of new stores, and quotas.

import * as accounts from '../calls/accounts.js';
import { Dialog, FormDialog } from '../components/dialog.js';
import { SelectField, TextField } from '../components/field.js';
import { Failure, Loading } from '../components/states.js';
import { toast } from '../components/toast.js';
import { useAction, useLoad } from '../load.js';
import { html, useState } from '../view.js';

/** @type {[string, string][]} */
const ACCESS = [
    ['RESTRICTED', 'Restricted'],
    ['ANYONE_WITH_ID_CAN_READ', 'Anyone with the id can read'],
    ['ANYONE_WITH_NAME_CAN_READ', 'Anyone with the name can read'],
];

/** @type {[string, string][]} */
const QUOTA = [
    ['stores', 'Stores'],
    ['records', 'Records in all stores'],
    ['bytes', 'Bytes in all stores'],
    ['storeRecords', 'Records in one store'],
    ['storeBytes', 'Bytes in one store'],
];

/** @param {{ username: string, onClose: () => void, onSaved: () => void }} props */
export function EditUser({ username, onClose, onSaved }) {
    const loaded = useLoad((signal) => accounts.user(username, signal), [username]);
    if (loaded.value) return html`<${Form} user=${loaded.value} onClose=${onClose} onSaved=${onSaved} />`;
    return html`<${Dialog} title=${username} onClose=${onClose}>
        <div class="body">
            ${loaded.error ? html`<${Failure} error=${loaded.error} onRetry=${loaded.reload} />` : html`<${Loading} what="the user" />`}
        </div>
    <//>`;
}

/** @param {{ user: any, onClose: () => void, onSaved: () => void }} props */
function Form({ user, onClose, onSaved }) {
    const [access, setAccess] = useState(user.generalAccess);
    const [quota, setQuota] = useState(() => Object.fromEntries(QUOTA.map(([name]) => [name, user.quota[name] ?? ''])));
    const doing = useAction(async () => {
        const limits = Object.fromEntries(
            QUOTA.map(([name]) => [name, String(quota[name]).trim() === '' ? null : Number(quota[name])]),
        );
        await accounts.updateUser(user.username, { generalAccess: access, quota: limits });
        toast('Saved');
        onSaved();
    });
    return html`<${FormDialog} title=${user.username} action="Save" doing=${doing} onClose=${onClose}>
        <${SelectField}
            label="Default access of stores"
            value=${access}
            onInput=${setAccess}
            options=${ACCESS}
            help="Applies to stores without an access setting of their own."
        />
        <h3>Quotas</h3>
        <p class="dim">Leave empty to use the server default.</p>
        <div class="quota">
            ${QUOTA.map(
                ([name, label]) =>
                    html`<${TextField}
                        key=${name}
                        label=${label}
                        type="number"
                        min="0"
                        step="1"
                        value=${quota[name]}
                        onInput=${(/** @type {string} */ value) => setQuota({ ...quota, [name]: value })}
                    />`,
            )}
        </div>
    <//>`;
}
