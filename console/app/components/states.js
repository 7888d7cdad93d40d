// Placeholders: loading, empty, and failed states.

import { ApiError } from '../api.js';
import { html } from '../view.js';
import { Button } from './button.js';
import { Icon } from './icon.js';

/** @param {{ what: string }} props */
export function Loading({ what }) {
    return html`<p class="state loading" role="status"><span class="spinner"></span> Loading ${what}…</p>`;
}

/**
 * There is nothing, and what to do about it.
 * @param {{ icon?: import('./icon.js').IconName, title: string, children?: any }} props
 */
export function Empty({ icon = 'store', title, children }) {
    return html`<div class="state empty">
        <${Icon} name=${icon} />
        <h2>${title}</h2>
        ${children}
    </div>`;
}

/** Advice for errors, by type. */
const ADVICE = /** @type {Record<string, string>} */ ({
    'no-answer': 'Retrying until it is back. The content of this page stays.',
    'insufficient-permissions': 'Ask the owner to share it with you, or sign in with a token that may do this.',
    'record-not-found': 'It may have been deleted, or it has expired.',
    'rate-limit-exceeded': 'Wait a moment, then try again.',
    'quota-exceeded': 'Delete what is not needed, or ask the administrator for a larger quota.',
    'precondition-failed': 'It has changed since. Reload the current version.',
});

/**
 * An error message with advice and the request id of the log.
 * @param {{ error: Error, onRetry?: () => void }} props
 */
export function Failure({ error, onRetry }) {
    const { type, requestId } = error instanceof ApiError ? error : { type: '', requestId: null };
    return html`<div class="failure" role="alert">
        <${Icon} name="warning" />
        <div>
            <p class="what">${error.message}</p>
            ${ADVICE[type] && html`<p>${ADVICE[type]}</p>`}
            ${requestId && html`<p class="trace">Request <code>${requestId}</code></p>`}
        </div>
        ${onRetry && html`<${Button} icon="refresh" onClick=${onRetry}>Try again<//>`}
    </div>`;
}
