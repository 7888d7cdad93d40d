// The dialog that makes a record out of what is typed.

import * as records from '../../calls/records.js';
import { FormDialog } from '../../components/dialog.js';
import { SelectField, TextField, inputOf } from '../../components/field.js';
import { toast } from '../../components/toast.js';
import { useAction } from '../../load.js';
import { goWith } from '../../router.js';
import { html, useId, useState } from '../../view.js';

/** @type {[string, string][]} */
const TYPES = [
    ['application/json; charset=utf-8', 'JSON'],
    ['text/plain; charset=utf-8', 'Text'],
    ['text/html; charset=utf-8', 'HTML'],
    ['text/csv; charset=utf-8', 'CSV'],
    ['text/markdown; charset=utf-8', 'Markdown'],
];

/**
 * @param {{ store: import('../../calls/stores.js').Store, onClose: () => void, onCreated: () => void }} props
 */
export function CreateRecord({ store, onClose, onCreated }) {
    const [key, setKey] = useState('');
    const [type, setType] = useState(TYPES[0][0]);
    const [text, setText] = useState('');
    const id = useId();
    const doing = useAction(async () => {
        if (type === TYPES[0][0]) JSON.parse(text);
        // Creates only: an existing record is never overwritten by a typed key.
        await records.put(store.id, key.trim(), text, type, null);
        toast('Record created');
        onCreated();
        goWith({ key: key.trim() }, { replace: false });
    });
    return html`<${FormDialog}
        title="New record"
        action="Create"
        isReady=${key.trim() !== ''}
        doing=${doing}
        onClose=${onClose}
    >
        <${TextField}
            label="Key"
            value=${key}
            onInput=${setKey}
            isMono
            autofocus
            maxlength="256"
            help="Letters, digits and ! - _ . ' ( ), up to 256."
        />
        <${SelectField} label="Type" value=${type} onInput=${setType} options=${TYPES} />
        <div class="field">
            <label for=${id}>Value</label>
            <textarea
                id=${id}
                class="mono"
                rows="8"
                spellcheck=${false}
                value=${text}
                onInput=${(/** @type {Event} */ event) => setText(inputOf(event).value)}
            ></textarea>
        </div>
    <//>`;
}
