// The users of this server, for the administrator.

import * as accounts from '../calls/accounts.js';
import { Button } from '../components/button.js';
import { FormDialog } from '../components/dialog.js';
import { TextField } from '../components/field.js';
import { PageHead } from '../components/layout.js';
import { Empty, Failure, Loading } from '../components/states.js';
import { Time } from '../components/time.js';
import { toast } from '../components/toast.js';
import { count, size } from '../format.js';
import { useAction, useLoad } from '../load.js';
import { account } from '../session.js';
import { useSignal } from '../signal.js';
import { html, useState } from '../view.js';
import { CreateToken, NewToken } from './create_token.js';
import { EditUser } from './edit_user.js';

/** The page. */
export function Users() {
    const who = useSignal(account);
    if (!who?.isAdmin) {
        return html`<${PageHead} title="Users" />
            <${Empty} icon="people" title="Only the administrator sees users"
                ><p>Sign in as the administrator to create users.</p><//
            >`;
    }
    return html`<${All} />`;
}

/** @typedef {{ what: 'create' | 'token' | 'edit', user?: any }} Asks */

function All() {
    const users = useLoad((signal) => accounts.users(signal), []);
    const [asks, setAsks] = useState(/** @type {Asks | null} */ (null));
    const [shown, setShown] = useState(/** @type {accounts.Token | null} */ (null));
    const changing = useAction(async (/** @type {any} */ user) => {
        await accounts.updateUser(user.username, { isDisabled: !user.isDisabled });
        toast(user.isDisabled ? `${user.username} is enabled` : `${user.username} is disabled`);
        users.reload();
    });
    return html`
        <${PageHead} title="Users"
            ><${Button} icon="plus" kind="primary" onClick=${() => setAsks({ what: 'create' })}>Create user<//><//
        >
        ${users.error && html`<${Failure} error=${users.error} onRetry=${users.reload} />`}
        ${changing.error && html`<${Failure} error=${changing.error} />`}
        ${!users.value && users.isLoading && html`<${Loading} what="users" />`}
        ${users.value && html`<${Table} users=${users.value.items} onAsk=${setAsks} onSwitch=${changing.run} />`}
        ${
            asks?.what === 'create' &&
            html`<${CreateUser}
                onClose=${() => setAsks(null)}
                onCreated=${(/** @type {any} */ user) => {
                    users.reload();
                    // The dialog that is closing would take this one with it.
                    setTimeout(() => setAsks({ what: 'token', user }), 0);
                }}
            />`
        }
        ${
            asks?.what === 'token' &&
            html`<${CreateToken} username=${asks.user.username} onClose=${() => setAsks(null)} onCreated=${setShown} />`
        }
        ${asks?.what === 'edit' && html`<${EditUser} username=${asks.user.username} onClose=${() => setAsks(null)} onSaved=${users.reload} />`}
        ${shown && html`<${NewToken} token=${shown} onClose=${() => setShown(null)} />`}
    `;
}

/** @param {{ users: any[], onAsk: (asks: Asks) => void, onSwitch: (user: any) => void }} props */
function Table({ users, onAsk, onSwitch }) {
    return html`<div class="table" tabindex="0" role="region" aria-label="Users">
        <table>
            <thead>
                <tr>
                    <th>Name</th>
                    <th class="number wide">Stores</th>
                    <th class="number wide">Records</th>
                    <th class="number wide">Size</th>
                    <th class="wide">Created</th>
                    <th><span class="offscreen">What to do</span></th>
                </tr>
            </thead>
            <tbody>
                ${users.map((user) => html`<${Row} key=${user.id} user=${user} onAsk=${onAsk} onSwitch=${onSwitch} />`)}
            </tbody>
        </table>
    </div>`;
}

/** @param {{ user: any, onAsk: (asks: Asks) => void, onSwitch: (user: any) => void }} props */
function Row({ user, onAsk, onSwitch }) {
    // Usage is requested for each user: the list does not contain it.
    const details = useLoad((signal) => accounts.user(user.username, signal), [user.username]);
    const usage = details.value?.usage;
    return html`<tr>
        <td>
            <strong>${user.username}</strong>
            ${user.isAdmin && html` <span class="badge">administrator</span>`}
            ${user.isDisabled && html` <span class="badge bad">locked out</span>`}
        </td>
        <td class="number wide">${count(usage?.stores)}</td>
        <td class="number wide">${count(usage?.records)}</td>
        <td class="number wide">${size(usage?.bytes)}</td>
        <td class="wide"><${Time} at=${user.createdAt} /></td>
        <td>
            <${Button}
                icon="key"
                kind="quiet"
                label=${`Create token for ${user.username}`}
                onClick=${() => onAsk({ what: 'token', user })}
            />
            <${Button}
                icon="edit"
                kind="quiet"
                label=${`Settings of ${user.username}`}
                onClick=${() => onAsk({ what: 'edit', user })}
            />
            ${
                !user.isAdmin &&
                html`<${Button} kind="quiet" onClick=${() => onSwitch(user)}
                    >${user.isDisabled ? 'Let in' : 'Lock out'}<//
                >`
            }
        </td>
    </tr>`;
}

/** @param {{ onClose: () => void, onCreated: (user: any) => void }} props */
function CreateUser({ onClose, onCreated }) {
    const [username, setUsername] = useState('');
    const doing = useAction(async () => onCreated(await accounts.createUser({ username: username.trim() })));
    return html`<${FormDialog}
        title="Create user"
        action="Create"
        isReady=${username.trim() !== ''}
        doing=${doing}
        onClose=${onClose}
    >
        <${TextField}
            label="User name"
            value=${username}
            onInput=${setUsername}
            autofocus
            help="You create a token for the user next."
        />
    <//>`;
}
