// Rights of other users on a store, and signed links to it.

import * as records from '../../calls/records.js';
import * as stores from '../../calls/stores.js';
import { Button } from '../../components/button.js';
import { FormDialog } from '../../components/dialog.js';
import { Snippet } from '../../components/copy.js';
import { SelectField, TextField } from '../../components/field.js';
import { Failure, Loading } from '../../components/states.js';
import { toast } from '../../components/toast.js';
import { moment } from '../../format.js';
import { useAction, useLoad } from '../../load.js';
import { keysSignature } from '../../signature.js';
import { html, useState } from '../../view.js';

/** @type {[stores.Right, string][]} */
const RIGHTS = [
    ['read', 'Read: see its keys and records'],
    ['write', 'Write: change records and settings, delete it, sign links'],
    ['manage', 'Manage: grant and revoke access'],
];

/** Lifetimes of links (seconds), the shortest first. */
const LIFETIMES = /** @type {[string, string][]} */ ([
    ['900', '15 minutes'],
    ['3600', '1 hour'],
    ['86400', '1 day'],
    ['1209600', '14 days'],
    ['31536000', '1 year'],
]);

/** @param {import('./store.js').TabProps} props */
export function ShareTab(props) {
    const { right } = props.store;
    return html`
        ${
            right === 'manage'
                ? html`<${People} ...${props} />`
                : html`<section class="panel">
                      <h2>People</h2>
                      <p class="dim">You need manage access to share this store.</p>
                  </section>`
        }
        <${Links} key=${props.store.urlSigningSecretKey} store=${props.store} />
        ${right === 'manage' && html`<${Rotation} ...${props} />`}
    `;
}

/** @param {import('./store.js').TabProps} props */
function People({ store, onStore }) {
    const people = useLoad((signal) => stores.access(store.id, signal), [store.id]);
    const [user, setUser] = useState('');
    const [right, setRight] = useState('read');
    const changing = useAction(async (/** @type {() => Promise<{ linksRevoked: boolean }>} */ change) => {
        const { linksRevoked } = await change();
        people.reload();
        if (linksRevoked) {
            onStore(await stores.get(store.id));
            toast('Write access was revoked and the secret rotated: all signed links are revoked');
        }
    });
    /** @param {SubmitEvent} event */
    const submit = async (event) => {
        event.preventDefault();
        const name = user.trim();
        const isShared = await changing.run(() => stores.share(store.id, name, /** @type {stores.Right} */ (right)));
        if (isShared) {
            setUser('');
            toast(`Shared with ${name}`);
        }
    };
    return html`<section class="panel">
        <h2>People</h2>
        <p>Users of this Larder who have a right of their own on this store.</p>
        ${people.error && html`<${Failure} error=${people.error} onRetry=${people.reload} />`}
        ${!people.value && people.isLoading && html`<${Loading} what="people" />`}
        ${people.value?.users.length === 0 && html`<p class="dim">Not shared yet.</p>`}
        ${
            people.value?.users.length > 0 &&
            html`<ul class="people">
                ${people.value.users.map((/** @type {any} */ person) => {
                    const name = person.username ?? person.userId;
                    return html`<li key=${person.userId}>
                        <strong>${name}</strong>
                        <${SelectField}
                            label=${`Right of ${name}`}
                            value=${person.right}
                            options=${RIGHTS}
                            onInput=${(/** @type {stores.Right} */ other) => changing.run(() => stores.share(store.id, person.userId, other))}
                        />
                        <${Button}
                            onClick=${() => changing.run(() => stores.unshare(store.id, person.userId))}
                            label=${`Remove ${name}`}
                            icon="trash"
                            kind="quiet"
                        />
                    </li>`;
                })}
            </ul>`
        }
        ${changing.error && html`<${Failure} error=${changing.error} />`}
        <form class="row" onSubmit=${submit}>
            <${TextField} label="User name" value=${user} onInput=${setUser} required />
            <${SelectField} label="Right" value=${right} onInput=${setRight} options=${RIGHTS} />
            <${Button} type="submit" kind="primary" isBusy=${changing.isRunning} disabled=${user.trim() === ''}
                >Share<//
            >
        </form>
    </section>`;
}

/** @param {{ store: stores.Store }} props */
function Links({ store }) {
    const mayWrite = store.right === 'write' || store.right === 'manage';
    const [key, setKey] = useState('');
    const [lifetime, setLifetime] = useState(LIFETIMES[0][0]);
    const [made, setMade] = useState(
        /** @type {{ list?: string, zip?: string, record?: string, end: string | null } | null} */ (null),
    );
    const making = useAction(async () => setMade(await linksTo(store, key.trim(), lifetime)));
    /** @param {SubmitEvent} event */
    const submit = (event) => {
        event.preventDefault();
        void making.run();
    };
    const lifetimes = mayWrite ? [...LIFETIMES, ['0', 'For ever']] : LIFETIMES.slice(0, 1);
    return html`<section class="panel">
        <h2>Links</h2>
        <p>
            Anyone with such a link can open it, without a token.${' '}
            ${!mayWrite && 'You need write access to create links that last longer.'}
        </p>
        <form class="row" onSubmit=${submit}>
            <${TextField} label="Key of a record" value=${key} onInput=${setKey} isMono placeholder="all of them" />
            <${SelectField} label="Valid for" value=${lifetime} onInput=${setLifetime} options=${lifetimes} />
            <${Button} type="submit" kind="primary" icon="link" isBusy=${making.isRunning}>Create link<//>
        </form>
        ${making.error && html`<${Failure} error=${making.error} />`}
        ${
            made &&
            html`<div class="links" role="status">
                ${made.record && html`<${Snippet} text=${made.record} label="Link to the record" />`}
                ${
                    made.list &&
                    html`<h3>List of keys</h3>
                        <${Snippet} text=${made.list} label="Link to the list of keys" />`
                }
                ${
                    made.zip &&
                    html`<h3>All records as a ZIP file</h3>
                        <${Snippet} text=${made.zip} label="Link to the ZIP file" />`
                }
                <p class="dim">
                    ${made.end ? `Good until ${moment(made.end)}, or until the secret is rotated.` : 'Valid until the secret is rotated.'}
                </p>
            </div>`
        }
    </section>`;
}

/**
 * @param {stores.Store} store
 * @param {string} key of a record; empty: all
 * @param {string} lifetime seconds; 0: for ever
 */
async function linksTo(store, key, lifetime) {
    const isForEver = lifetime === '0';
    if (key === '') {
        const { url, expiresAt } = isForEver
            ? { url: await lastingListLink(store), expiresAt: null }
            : await stores.viewLink(store.id, undefined, Number(lifetime));
        return { list: url, zip: url.replace('/keys?', '/records?'), end: expiresAt };
    }
    if (isForEver) return { record: await records.lastingLink(store.id, key), end: null };
    const { url, expiresAt } = await stores.viewLink(store.id, key, Number(lifetime));
    return { record: url, end: expiresAt };
}

/**
 * The link to the list of keys that never ends, which the gateway does not make: it is signed here.
 * @param {stores.Store} store
 */
async function lastingListLink({ id, keysPublicUrl, urlSigningSecretKey }) {
    if (!urlSigningSecretKey) throw new Error('You need write access to create links that never expire.');
    const url = new URL(keysPublicUrl);
    url.search = new URLSearchParams({ signature: await keysSignature(urlSigningSecretKey, id) }).toString();
    return url.href;
}

/** @param {import('./store.js').TabProps} props */
function Rotation({ store, onStore }) {
    const [isAsking, setAsking] = useState(false);
    const doing = useAction(async () => {
        onStore(await stores.rotateSigningKey(store.id));
        toast('Secret rotated: all signed links are revoked');
    });
    return html`<section class="panel">
        <h2>Secret</h2>
        <p>All signed links to this store are made with one secret. Rotating it revokes all existing links.</p>
        <div class="row">
            <${Button} icon="refresh" kind="danger" onClick=${() => setAsking(true)}>Rotate secret<//>
        </div>
        ${
            isAsking &&
            html`<${FormDialog}
                title="Rotate secret"
                action="Rotate"
                kind="danger"
                doing=${doing}
                onClose=${() => setAsking(false)}
            >
                <p>
                    All signed links to this store and its records stop working at once. Tokens and shares do not
                    change.
                </p>
            <//>`
        }
    </section>`;
}
