// Object-store cost of a store or a run, as counted by this gateway.

import * as usage from '../calls/usage.js';
import { cost, count, moment, size } from '../format.js';
import { useLoad } from '../load.js';
import { html } from '../view.js';
import { Failure, Loading } from './states.js';

/** @param {{ of: { store: string } | { run: string } }} props */
export function Usage({ of }) {
    const loaded = useLoad((signal) => usage.of(of, signal), [JSON.stringify(of)]);
    return html`<section class="panel">
        <h2>Usage</h2>
        ${loaded.error && html`<${Failure} error=${loaded.error} onRetry=${loaded.reload} />`}
        ${!loaded.value && !loaded.error && html`<${Loading} what="its usage" />`}
        ${loaded.value && html`<${Figures} found=${loaded.value} />`}
    </section>`;
}

/** @param {{ found: usage.Usage }} props */
function Figures({ found }) {
    const { calls, bytesIn, bytesOut, prices } = found;
    return html`
        <dl class="facts">
            <dt>Writes and lists</dt>
            <dd>${count(calls.classA)} object calls of class A</dd>
            <dt>Reads</dt>
            <dd>${count(calls.classB)} object calls of class B</dd>
            <dt>Deletes</dt>
            <dd>${count(calls.free)} object calls that are free</dd>
            <dt>Bytes</dt>
            <dd>${size(bytesIn)} in, ${size(bytesOut)} out</dd>
            ${
                prices &&
                found.cost !== null &&
                html`<dt>Comes to</dt>
                    <dd>${cost(found.cost, prices.currency)}</dd>`
            }
        </dl>
        <p class="dim">
            Counted by this gateway since ${moment(found.since)}; what is kept costs besides.${' '}
            ${!found.isComplete && 'What was counted longer ago is no longer told apart from that of others.'}
        </p>
    `;
}
