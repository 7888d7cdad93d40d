// My tokens, and the lines by which programs find this Larder.

import * as accounts from '../calls/accounts.js';
import { Button } from '../components/button.js';
import { Snippet } from '../components/copy.js';
import { FormDialog } from '../components/dialog.js';
import { PageHead } from '../components/layout.js';
import { Empty, Failure, Loading } from '../components/states.js';
import { Tabs } from '../components/tabs.js';
import { Time } from '../components/time.js';
import { toast } from '../components/toast.js';
import { useAction, useLoad } from '../load.js';
import { ROOT } from '../root.js';
import { account } from '../session.js';
import { useSignal } from '../signal.js';
import { html, useId, useState } from '../view.js';
import { CreateToken, NewToken } from './create_token.js';
import { environmentsFor } from './environments.js';

/** The page. */
export function Integrations() {
    const who = useSignal(account);
    const [made, setMade] = useState(/** @type {accounts.Token | null} */ (null));
    const isLimited = who?.token.scope !== null;
    return html`
        <${PageHead} title="Integrations" />
        ${
            isLimited
                ? html`<p class="notice">
                      You are signed in with a limited token, which cannot create or list tokens.
                  </p>`
                : html`<${Tokens} onMade=${setMade} />`
        }
        <${Environments} token=${made?.token} />
    `;
}

/** @param {{ onMade: (token: accounts.Token) => void }} props */
function Tokens({ onMade }) {
    const tokens = useLoad((signal) => accounts.tokens(signal), []);
    const [isCreating, setCreating] = useState(false);
    const [shown, setShown] = useState(/** @type {accounts.Token | null} */ (null));
    const [asks, setAsks] = useState(
        /** @type {{ what: 'revoke' | 'replace', token: accounts.Token } | null} */ (null),
    );
    /** @param {accounts.Token} token */
    const show = (token) => {
        tokens.reload();
        setShown(token);
        onMade(token);
    };
    const items = tokens.value?.items;
    return html`<section class="panel">
        <div class="head">
            <h2>My tokens</h2>
            <${Button} icon="plus" kind="primary" onClick=${() => setCreating(true)}>Create token<//>
        </div>
        ${tokens.error && html`<${Failure} error=${tokens.error} onRetry=${tokens.reload} />`}
        ${!items && tokens.isLoading && html`<${Loading} what="tokens" />`}
        ${
            items?.length === 0 &&
            html`<${Empty} icon="key" title="No tokens of your own yet">
                <p>Create one for each program and machine, so that each can be revoked separately.</p>
            <//>`
        }
        ${items && items.length > 0 && html`<${TokenTable} items=${items} onAsk=${setAsks} />`}
        ${isCreating && html`<${CreateToken} onClose=${() => setCreating(false)} onCreated=${show} />`}
        ${shown && html`<${NewToken} token=${shown} onClose=${() => setShown(null)} />`}
        ${asks?.what === 'revoke' && html`<${Revoke} token=${asks.token} onClose=${() => setAsks(null)} onRevoked=${tokens.reload} />`}
        ${asks?.what === 'replace' && html`<${Replace} token=${asks.token} onClose=${() => setAsks(null)} onReplaced=${show} />`}
    </section>`;
}

/**
 * @param {{ items: accounts.Token[], onAsk: (asks: { what: 'revoke' | 'replace', token: accounts.Token }) => void }} props
 */
function TokenTable({ items, onAsk }) {
    return html`<div class="table" tabindex="0" role="region" aria-label="Tokens">
        <table>
            <thead>
                <tr>
                    <th>Name</th>
                    <th>Access</th>
                    <th class="wide">Created</th>
                    <th class="wide">Last used</th>
                    <th>Expires</th>
                    <th><span class="offscreen">What to do with it</span></th>
                </tr>
            </thead>
            <tbody>
                ${items.map(
                    (token) =>
                        html`<tr key=${token.id}>
                            <td>${token.name ?? html`<span class="dim">without a name</span>`}</td>
                            <td>${limitOf(token.scope)}</td>
                            <td class="wide"><${Time} at=${token.createdAt} /></td>
                            <td class="wide"><${Time} at=${token.lastUsedAt} none="never" /></td>
                            <td><${Time} at=${token.expiresAt} none="never" /></td>
                            <td>
                                <${Button}
                                    kind="quiet"
                                    icon="refresh"
                                    label=${`Replace ${token.name ?? token.id}`}
                                    onClick=${() => onAsk({ what: 'replace', token })}
                                />
                                <${Button}
                                    kind="quiet"
                                    icon="trash"
                                    label=${`Revoke ${token.name ?? token.id}`}
                                    onClick=${() => onAsk({ what: 'revoke', token })}
                                />
                            </td>
                        </tr>`,
                )}
            </tbody>
        </table>
    </div>`;
}

/** Describes the rights of a token. @param {any} scope */
function limitOf(scope) {
    if (!scope) return 'everything';
    const parts = (scope.stores ?? []).map(
        (/** @type {any} */ store) => `${store.right} ${store.name ?? store.id ?? `${store.namePrefix}…`}`,
    );
    if (scope.list) parts.push('list stores');
    if (scope.create) parts.push('create stores');
    return parts.join(', ') || 'nothing';
}

/** @param {{ token: accounts.Token, onClose: () => void, onRevoked: () => void }} props */
function Revoke({ token, onClose, onRevoked }) {
    const doing = useAction(async () => {
        await accounts.revokeToken(token.id);
        toast('Token revoked');
        onRevoked();
    });
    return html`<${FormDialog} title="Revoke token" action="Revoke" kind="danger" doing=${doing} onClose=${onClose}>
        <p>Programs that use <strong>${token.name ?? token.id}</strong> lose access at once.</p>
    <//>`;
}

/** @param {{ token: accounts.Token, onClose: () => void, onReplaced: (token: accounts.Token) => void }} props */
function Replace({ token, onClose, onReplaced }) {
    const doing = useAction(async () => onReplaced(await accounts.replaceToken(token.id)));
    return html`<${FormDialog} title="Replace token" action="Replace" doing=${doing} onClose=${onClose}>
        <p>
            A new token like <strong>${token.name ?? token.id}</strong> is made. The old one goes on working for a day,
            so that there is time to change what uses it.
        </p>
    <//>`;
}

/** @param {{ token: string | undefined }} props */
function Environments({ token }) {
    const all = environmentsFor(window.location.origin + ROOT, token);
    const [current, setCurrent] = useState(all[0].name);
    const panel = useId();
    const shown = all.find(({ name }) => name === current) ?? all[0];
    return html`<section class="panel">
        <h2>Environment</h2>
        <p>
            ${token ? 'Uses the token that you just created.' : 'Replace the placeholder with a token, or create one above to have it filled in.'}
        </p>
        <${Tabs} label="Program" tabs=${all} current=${shown.name} onChange=${setCurrent} panel=${panel} />
        <div id=${panel} role="tabpanel" aria-label=${shown.title} class="look">
            <p class="dim">${shown.help}</p>
            <${Snippet} text=${shown.text} label=${shown.title} />
        </div>
    </section>`;
}
