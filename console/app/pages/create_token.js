// The dialogs that make a token, and show it once.

import * as accounts from '../calls/accounts.js';
import { Button } from '../components/button.js';
import { Snippet } from '../components/copy.js';
import { Dialog, FormDialog } from '../components/dialog.js';
import { RadioField, SelectField, TextField } from '../components/field.js';
import { useAction } from '../load.js';
import { html, useState } from '../view.js';

const DAY = 86_400_000;

/** @type {[string, string][]} */
const ENDS = [
    ['', 'Never'],
    ['7', 'In 7 days'],
    ['30', 'In 30 days'],
    ['90', 'In 90 days'],
    ['365', 'In a year'],
];

/** @type {{ value: string, label: string, help: string }[]} */
const LIMITS = [
    { value: 'everything', label: 'All my rights', help: 'Unlimited, including runs and tokens.' },
    {
        value: 'create',
        label: 'Only stores created with this token',
        help: 'For a crawler: full access to the stores that it creates.',
    },
    { value: 'stores', label: 'Selected stores', help: 'By name, by the beginning of names, or by id.' },
];

/**
 * @param {{ onClose: () => void, onCreated: (token: accounts.Token) => void, username?: string }} props `username`: for another user
 */
export function CreateToken({ onClose, onCreated, username }) {
    const [name, setName] = useState('');
    const [days, setDays] = useState('');
    const [limit, setLimit] = useState('everything');
    const [by, setBy] = useState('name');
    const [store, setStore] = useState('');
    const [right, setRight] = useState('read');
    const doing = useAction(async () => {
        const expiresAt = days === '' ? null : new Date(Date.now() + Number(days) * DAY).toISOString();
        onCreated(
            await accounts.createToken({ name: name.trim() || undefined, expiresAt, scope: scopeOf(), username }),
        );
    });
    const scopeOf = () => {
        if (limit === 'everything') return null;
        if (limit === 'create') return { list: true, create: true, stores: [] };
        return { list: true, create: false, stores: [{ [by]: store.trim(), right }] };
    };
    const isReady = limit !== 'stores' || store.trim() !== '';
    const title = username ? `Create token for ${username}` : 'Create token';
    return html`<${FormDialog} title=${title} action="Create" isReady=${isReady} doing=${doing} onClose=${onClose}>
        <${TextField}
            label="Name"
            value=${name}
            onInput=${setName}
            maxlength="200"
            autofocus
            help="What uses it, and where: to know it by later."
        />
        <${SelectField} label="Expires" value=${days} onInput=${setDays} options=${ENDS} />
        <${RadioField} legend="What it may do" value=${limit} onInput=${setLimit} options=${LIMITS} />
        ${
            limit === 'stores' &&
            html`<div class="row">
                <${SelectField}
                    label="Which stores"
                    value=${by}
                    onInput=${setBy}
                    options=${[
                        ['name', 'of this name'],
                        ['namePrefix', 'whose names begin with'],
                        ['id', 'of this id'],
                    ]}
                />
                <${TextField} label="Name or id" value=${store} onInput=${setStore} isMono />
                <${SelectField}
                    label="Right"
                    value=${right}
                    onInput=${setRight}
                    options=${[
                        ['read', 'Read'],
                        ['write', 'Write'],
                        ['manage', 'Manage'],
                    ]}
                />
            </div>`
        }
    <//>`;
}

/** Shows a token, once. @param {{ token: accounts.Token, onClose: () => void }} props */
export function NewToken({ token, onClose }) {
    return html`<${Dialog} title="Your new token" onClose=${onClose}>
        <div class="body">
            <p>Copy it now: it is not shown again. Anyone with this token has its rights.</p>
            <${Snippet} text=${token.token ?? ''} label="token" />
        </div>
        <footer><${Button} kind="primary" onClick=${onClose}>I have it<//></footer>
    <//>`;
}
