// The frame of every page: navigation, the signed-in user, and the state of the connection.

import { connection } from '../connection.js';
import { address, usePlace } from '../router.js';
import { account, signOut } from '../session.js';
import { useSignal } from '../signal.js';
import { switchTheme, theme } from '../theme.js';
import { html, useEffect, useRef } from '../view.js';
import { Button } from './button.js';
import { Icon } from './icon.js';
import { Toasts } from './toast.js';

/** @type {{ path: string, title: string, icon: import('./icon.js').IconName, isForAdmin?: boolean }[]} */
const PLACES = [
    { path: 'key-value-stores', title: 'Stores', icon: 'store' },
    { path: 'runs', title: 'Runs', icon: 'run' },
    { path: 'integrations', title: 'Integrations', icon: 'key' },
    { path: 'users', title: 'Users', icon: 'people', isForAdmin: true },
];

/** @param {{ children?: any }} props */
export function Layout({ children }) {
    const { path } = usePlace();
    const who = useSignal(account);
    const main = useRef(/** @type {HTMLElement | null} */ (null));
    const places = PLACES.filter(({ isForAdmin }) => !isForAdmin || who?.isAdmin);
    const current = path[0] ?? 'key-value-stores';
    return html`<div class="layout">
        <a class="skip" href="#main" onClick=${() => main.current?.focus()} target="_self">Skip to the page</a>
        <header class="bar">
            <a class="brand" href=${address([])}><${Jars} /><span>Larder</span></a>
            <nav aria-label="Console">
                ${places.map(
                    (place) =>
                        html`<a
                            key=${place.path}
                            href=${address([place.path])}
                            aria-current=${place.path === current ? 'page' : undefined}
                            ><${Icon} name=${place.icon} /><span>${place.title}</span></a
                        >`,
                )}
            </nav>
            <${Who} />
        </header>
        <${Away} />
        <main id="main" ref=${main} tabindex="-1">${children}</main>
        <${Toasts} />
    </div>`;
}

/** Three jars on a shelf. */
export function Jars() {
    return html`<svg class="jars" viewBox="0 0 32 32" aria-hidden="true">
        <path d="M3 26h26" />
        <path d="M6 22.500V13l1.200-1.800h4L12.500 13v9.500zM7 8h5" />
        <path d="M16 22.500v-5.200l1.200-1.800h3l1.200 1.800v5.200zM16.800 12.500h4" />
        <path d="M24.500 22.500v-8l.9-1.500h2l.9 1.500v8zM25 10h3" />
    </svg>`;
}

/** The signed-in user, and the sign-out button. */
function Who() {
    const who = useSignal(account);
    const shown = useSignal(theme);
    return html`<div class="who">
        ${
            who &&
            html`<span class="name" title=${who.token.name ?? 'Signed in'}>
                ${who.username}${who.token.scope && html` <span class="badge">limited token</span>`}
            </span>`
        }
        <${Button}
            icon=${shown === 'dark' ? 'sun' : 'moon'}
            kind="quiet"
            label=${shown === 'dark' ? 'Light colours' : 'Dark colours'}
            onClick=${switchTheme}
        />
        ${who && html`<${Button} icon="out" kind="quiet" label="Sign out" onClick=${() => signOut()} />`}
    </div>`;
}

/** Says that the gateway does not answer, for as long as it does not. */
function Away() {
    const isAway = useSignal(connection) === 'away';
    return html`<div class="away" role="alert" hidden=${!isAway}>
        ${isAway && html`<${Icon} name="warning" /> The gateway does not respond. Trying again…`}
    </div>`;
}

/**
 * The head of a page: its title (the window's, too), and what can be done there.
 * @param {{ title: string, above?: any, below?: any, children?: any }} props
 */
export function PageHead({ title, above, below, children }) {
    useEffect(() => {
        document.title = `${title} · Larder`;
    }, [title]);
    return html`<div class="head">
        <div class="titles">
            ${above && html`<p class="above">${above}</p>`}
            <h1>${title}</h1>
            ${below && html`<p class="below">${below}</p>`}
        </div>
        <div class="actions">${children}</div>
    </div>`;
}
