// The dialog that makes a store.

import * as stores from '../calls/stores.js';
import { FormDialog } from '../components/dialog.js';
import { TextField } from '../components/field.js';
import { toast } from '../components/toast.js';
import { useAction } from '../load.js';
import { address, go } from '../router.js';
import { html, useState } from '../view.js';

/** @param {{ onClose: () => void }} props */
export function CreateStore({ onClose }) {
    const [name, setName] = useState('');
    const [title, setTitle] = useState('');
    const [days, setDays] = useState('');
    const isUnnamed = name.trim() === '';
    const doing = useAction(async () => {
        const began = Date.now();
        const store = await stores.create({
            name: name.trim() || undefined,
            retentionDays: !isUnnamed || days.trim() === '' ? undefined : Number(days),
        });
        // Asking for a name that is taken gives the store that has it, as it is.
        const isOld = name.trim() !== '' && new Date(store.createdAt).getTime() < began - 60_000;
        if (!isOld && title.trim() !== '') await stores.update(store.id, { title: title.trim() });
        toast(isOld ? 'A store of this name exists already' : 'Store created');
        go(address(['key-value-stores', store.id]));
    });
    return html`<${FormDialog} title="Create store" action="Create" doing=${doing} onClose=${onClose}>
        <${TextField}
            label="Name"
            value=${name}
            onInput=${setName}
            autofocus
            maxlength="63"
            help="Letters, digits and hyphens, up to 63. Named stores are kept forever; unnamed stores expire."
        />
        <${TextField} label="Title" value=${title} onInput=${setTitle} help="Free text for display." />
        ${
            isUnnamed &&
            html`<${TextField}
                label="Retention in days"
                type="number"
                min="0"
                max="366"
                step="any"
                value=${days}
                onInput=${setDays}
                placeholder="7"
                help="Days from the last change until the store expires. Fractions are allowed; maximum 366."
            />`
        }
    <//>`;
}
