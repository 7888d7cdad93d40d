// A store's settings: what it is called, how long it lives, who may read it, what it costs, and its end.

import { ApiError } from '../../api.js';
import * as stores from '../../calls/stores.js';
import { Button } from '../../components/button.js';
import { RadioField, TextField } from '../../components/field.js';
import { FormDialog } from '../../components/dialog.js';
import { Failure } from '../../components/states.js';
import { Time } from '../../components/time.js';
import { toast } from '../../components/toast.js';
import { Usage } from '../../components/usage.js';
import { moment, retention } from '../../format.js';
import { useAction } from '../../load.js';
import { address, go } from '../../router.js';
import { html, useEffect, useState } from '../../view.js';
import { DeleteStores } from '../delete_stores.js';

/** The longest retention (days). */
const LONGEST = 366;

/** @type {{ value: string, label: string, help: string }[]} */
const ACCESS = [
    {
        value: 'RESTRICTED',
        label: 'Restricted',
        help: 'Only you, users it is shared with, and anyone with a signed link.',
    },
    {
        value: 'ANYONE_WITH_ID_CAN_READ',
        label: 'Anyone with its id can read',
        help: 'Anyone who knows the id can read its records and list its keys, without a token. Ids are hard to guess.',
    },
    {
        value: 'ANYONE_WITH_NAME_CAN_READ',
        label: 'Anyone with its name can read',
        help: 'As above, and also by user name and store name, which are easy to guess.',
    },
    {
        value: 'FOLLOW_USER_SETTING',
        label: 'As your account says',
        help: 'The default of your account: restricted, unless the administrator has changed it.',
    },
];

/** @param {import('./store.js').TabProps} props */
export function SettingsTab(props) {
    const { right } = props.store;
    const mayWrite = right === 'write' || right === 'manage';
    if (!mayWrite) {
        return html`<p class="notice">You need write access to change settings.</p>
            <${Lifetime} ...${props} mayWrite=${false} />`;
    }
    return html`
        <${Naming} ...${props} />
        <${Lifetime} ...${props} mayWrite />
        <${Access} ...${props} />
        ${right === 'manage' && html`<${Usage} of=${{ store: props.store.id }} />`}
        <${Removal} ...${props} />
    `;
}

/** @param {import('./store.js').TabProps} props */
function Naming({ store, onStore }) {
    const [name, setName] = useState(store.name ?? '');
    const [title, setTitle] = useState(store.title ?? '');
    // It can be named elsewhere, too: by being kept for ever.
    useEffect(() => setName(store.name ?? ''), [store.name]);
    const isLosing = store.name !== null && name.trim() === '';
    const isGaining = store.name === null && name.trim() !== '';
    const saving = useAction(async () => {
        /** @type {Record<string, unknown>} */
        const changes = {};
        if (name.trim() !== (store.name ?? '')) changes.name = name.trim() || null;
        if (title.trim() !== (store.title ?? '')) changes.title = title.trim() || null;
        onStore(await named(store.id, changes));
        toast('Saved');
    });
    const isChanged = name.trim() !== (store.name ?? '') || title.trim() !== (store.title ?? '');
    /** @param {SubmitEvent} event */
    const submit = (event) => {
        event.preventDefault();
        void saving.run();
    };
    return html`<form class="panel" onSubmit=${submit}>
        <h2>Name</h2>
        <${TextField}
            label="Name"
            value=${name}
            onInput=${setName}
            maxlength="63"
            help="Unique among your stores: letters, digits and hyphens. A store with a name is kept for ever."
        />
        <${TextField} label="Title" value=${title} onInput=${setTitle} help="Free text for display." />
        ${isGaining && html`<p class="notice">With this name it is kept for ever.</p>`}
        ${
            isLosing &&
            html`<p class="notice">
                Without a name it expires ${retention(store.retentionDays)} after its last change, and all its records
                with it.
            </p>`
        }
        ${saving.error && html`<${Failure} error=${saving.error} />`}
        <div class="row">
            <${Button} type="submit" kind="primary" isBusy=${saving.isRunning} disabled=${!isChanged}>Save<//>
        </div>
    </form>`;
}

/** @param {import('./store.js').TabProps & { mayWrite: boolean }} props */
function Lifetime({ store, onStore, mayWrite }) {
    const [days, setDays] = useState(String(store.retentionDays));
    const [isKeeping, setKeeping] = useState(false);
    const amount = Number(days);
    const isRight = days.trim() !== '' && amount > 0 && amount <= LONGEST;
    const saving = useAction(async () => {
        onStore(await stores.update(store.id, { retentionDays: amount }));
        toast('Saved');
    });
    /** @param {SubmitEvent} event */
    const submit = (event) => {
        event.preventDefault();
        if (isRight) void saving.run();
    };
    return html`<form class="panel" onSubmit=${submit}>
        <h2>Retention</h2>
        ${
            store.expiresAt
                ? html`<p>
                      It expires <${Time} at=${store.expiresAt} />, on ${moment(store.expiresAt)}, unless it is changed
                      before: every change makes it live ${retention(store.retentionDays)} from then on. Reading does
                      not.
                  </p>`
                : html`<p>Named stores are kept forever.</p>`
        }
        ${
            mayWrite &&
            html`<div class="row">
                    <${TextField}
                        label=${store.expiresAt ? 'Retention in days' : 'Retention in days, if the name is removed'}
                        type="number"
                        min="0"
                        max=${LONGEST}
                        step="any"
                        value=${days}
                        onInput=${setDays}
                    />
                    <${Button}
                        type="submit"
                        isBusy=${saving.isRunning}
                        disabled=${!isRight || amount === store.retentionDays}
                        >Save retention<//
                    >
                    ${store.expiresAt && html`<${Button} kind="primary" onClick=${() => setKeeping(true)}>Keep forever<//>`}
                </div>
                ${saving.error && html`<${Failure} error=${saving.error} />`}`
        }
        ${isKeeping && html`<${Keep} store=${store} onStore=${onStore} onClose=${() => setKeeping(false)} />`}
    </form>`;
}

/**
 * Gives a store a name, which is what keeps it.
 * @param {{ store: stores.Store, onStore: (store: stores.Store) => void, onClose: () => void }} props
 */
function Keep({ store, onStore, onClose }) {
    const [name, setName] = useState(`kept-${store.id.toLowerCase().slice(0, 8)}`);
    const doing = useAction(async () => {
        onStore(await named(store.id, { name: name.trim() }));
        toast('The store is kept forever');
    });
    return html`<${FormDialog}
        title="Keep forever"
        action="Keep"
        isReady=${name.trim() !== ''}
        doing=${doing}
        onClose=${onClose}
    >
        <p>A named store is kept forever. You can rename it at any time.</p>
        <${TextField} label="Name" value=${name} onInput=${setName} maxlength="63" autofocus />
    <//>`;
}

/**
 * Changes a store's name with whatever else changes, and says what to do where the name is taken.
 * @param {string} id
 * @param {Record<string, unknown>} changes
 */
async function named(id, changes) {
    try {
        return await stores.update(id, changes);
    } catch (error) {
        if (!(error instanceof ApiError && error.type === 'name-not-unique')) throw error;
        const message = `There is another store named “${changes.name}” already. Choose another name.`;
        throw new ApiError(error.status, error.type, message, error.requestId);
    }
}

/** @param {import('./store.js').TabProps} props */
function Access({ store, onStore }) {
    const [access, setAccess] = useState(store.generalAccess);
    const mayManage = store.right === 'manage';
    const saving = useAction(async () => {
        onStore(await stores.update(store.id, { generalAccess: access }));
        toast('Saved');
    });
    /** @param {SubmitEvent} event */
    const submit = (event) => {
        event.preventDefault();
        void saving.run();
    };
    return html`<form class="panel" onSubmit=${submit}>
        <h2>General access</h2>
        <${RadioField}
            legend="Who may read this store"
            value=${access}
            onInput=${setAccess}
            options=${ACCESS}
            disabled=${!mayManage}
        />
        ${!mayManage && html`<p class="dim">You need manage access to change this.</p>`}
        ${saving.error && html`<${Failure} error=${saving.error} />`}
        <div class="row">
            <${Button}
                type="submit"
                kind="primary"
                isBusy=${saving.isRunning}
                disabled=${!mayManage || access === store.generalAccess}
            >
                Save access
            <//>
        </div>
    </form>`;
}

/** @param {import('./store.js').TabProps} props */
function Removal({ store }) {
    const [isAsking, setAsking] = useState(false);
    return html`<section class="panel">
        <h2>Delete</h2>
        <p>The store and all its records are deleted at once. This cannot be undone.</p>
        <div class="row"><${Button} icon="trash" kind="danger" onClick=${() => setAsking(true)}>Delete store<//></div>
        ${
            isAsking &&
            html`<${DeleteStores}
                stores=${[store]}
                onClose=${() => setAsking(false)}
                onDeleted=${() => go(address(['key-value-stores']), { replace: true })}
            />`
        }
    </section>`;
}
