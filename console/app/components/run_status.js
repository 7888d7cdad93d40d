// The status of a run.

import { html } from '../view.js';

const KINDS = /** @type {Record<string, string>} */ ({
    SUCCEEDED: 'good',
    FAILED: 'bad',
    'TIMED-OUT': 'bad',
    ABORTED: 'warn',
    ABORTING: 'warn',
    'TIMING-OUT': 'warn',
});

/** Returns whether a run has ended. @param {string} status */
export function isOver(status) {
    return ['SUCCEEDED', 'FAILED', 'TIMED-OUT', 'ABORTED'].includes(status);
}

/** @param {{ status: string }} props */
export function Status({ status }) {
    return html`<span class="badge ${KINDS[status] ?? ''}">${status.toLowerCase().replace('-', ' ')}</span>`;
}
