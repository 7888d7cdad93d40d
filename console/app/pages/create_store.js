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
        toast(isOld ? 'There is a store of this name already: here it is' : 'Store created');
        go(address(['key-value-stores', store.id]));
    });
    return html`<${FormDialog} title="Create store" action="Create" doing=${doing} onClose=${onClose}>
        <${TextField}
            label="Name"
            value=${name}
            onInput=${setName}
            autofocus
            maxlength="63"
            help="Letters, digits and hyphens, up to 63. A store with a name is kept for ever; one without expires."
        />
        <${TextField} label="Title" value=${title} onInput=${setTitle} help="For people; may be anything." />
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
                help="How long it lives after its last change. Fractions count; the longest is 366."
            />`
        }
    <//>`;
}
