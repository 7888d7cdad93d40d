// The caller's runs of actors, the newest first.

import * as runs from '../calls/runs.js';
import { Button } from '../components/button.js';
import { SearchField, SelectField } from '../components/field.js';
import { PageHead } from '../components/layout.js';
import { Pager } from '../components/pager.js';
import { Status } from '../components/run_status.js';
import { Empty, Failure, Loading } from '../components/states.js';
import { Time } from '../components/time.js';
import { count, counted, span } from '../format.js';
import { useLoad } from '../load.js';
import { address, goWith, usePlace } from '../router.js';
import { html, useEffect, useState } from '../view.js';

/** Runs on a page. */
const PAGE = 50;

/** Delay between the last key stroke and the search (milliseconds). */
const PATIENCE = 300;

/** @type {[string, string][]} */
const STATUSES = [
    ['', 'Any status'],
    ['READY', 'Ready'],
    ['RUNNING', 'Running'],
    ['SUCCEEDED', 'Succeeded'],
    ['FAILED', 'Failed'],
    ['ABORTED', 'Aborted'],
    ['TIMED-OUT', 'Timed out'],
];

/** The page. What it shows is in its address. */
export function Runs() {
    const { query } = usePlace();
    const actor = query.get('actor') ?? '';
    const status = query.get('status') ?? '';
    const offset = Math.max(0, Number(query.get('offset') ?? 0) || 0);
    const page = useLoad(
        (signal) => runs.list({ offset, limit: PAGE, desc: true, status }, { actor, signal }),
        [actor, status, offset],
        { keeps: true },
    );
    return html`
        <${PageHead} title="Runs" />
        <div class="tools">
            <${Actor} actor=${actor} />
            <${SelectField}
                label="Status"
                value=${status}
                options=${STATUSES}
                onInput=${(/** @type {string} */ value) => goWith({ status: value, offset: null })}
            />
            <${Button} icon="refresh" kind="quiet" label="Refresh" onClick=${page.reload} />
        </div>
        ${page.error && html`<${Failure} error=${page.error} onRetry=${page.reload} />`}
        ${page.value ? html`<${List} page=${page.value} isFiltered=${actor !== '' || status !== ''} />` : page.isLoading && html`<${Loading} what="runs" />`}
    `;
}

/** @param {{ actor: string }} props */
function Actor({ actor }) {
    const [typed, setTyped] = useState(actor);
    useEffect(() => setTyped(actor), [actor]);
    useEffect(() => {
        if (typed.trim() === actor) return undefined;
        const timer = setTimeout(() => goWith({ actor: typed.trim(), offset: null }), PATIENCE);
        return () => clearTimeout(timer);
    }, [typed, actor]);
    return html`<${SearchField}
        label="Runs of one actor"
        placeholder="Actor, by its whole name or id"
        value=${typed}
        onInput=${setTyped}
    />`;
}

/** @param {{ page: { total: number, offset: number, items: runs.Run[] }, isFiltered: boolean }} props */
function List({ page, isFiltered }) {
    const { total, offset, items } = page;
    if (items.length === 0 && offset === 0) return html`<${None} isFiltered=${isFiltered} />`;
    /** @param {number} to */
    const turn = (to) => goWith({ offset: to === 0 ? null : String(to) }, { replace: false });
    return html`
        <div class="table" tabindex="0" role="region" aria-label="Runs">
            <table>
                <thead>
                    <tr>
                        <th>Run</th>
                        <th>Status</th>
                        <th>Started</th>
                        <th class="number">Duration</th>
                        <th class="wide">Actor</th>
                        <th class="wide">By</th>
                    </tr>
                </thead>
                <tbody>
                    ${items.map(
                        (run) =>
                            html`<tr key=${run.id}>
                                <td>
                                    <a href=${address(['runs', run.id])}><code>${run.id}</code></a>
                                </td>
                                <td><${Status} status=${run.status} /></td>
                                <td><${Time} at=${run.startedAt} /></td>
                                <td class="number">${span(run.startedAt, run.finishedAt)}</td>
                                <td class="wide">
                                    <a href=${address(['runs'], { actor: run.actId })}><code>${run.actId}</code></a>
                                </td>
                                <td class="wide dim">${run.meta?.origin ?? ''}</td>
                            </tr>`,
                    )}
                </tbody>
            </table>
        </div>
        <${Pager}
            text=${`${count(offset + 1)}–${count(offset + items.length)} of ${counted(total, 'run')}`}
            onBack=${offset > 0 ? () => turn(Math.max(0, offset - PAGE)) : undefined}
            onNext=${offset + items.length < total ? () => turn(offset + PAGE) : undefined}
        />
    `;
}

/** @param {{ isFiltered: boolean }} props */
function None({ isFiltered }) {
    if (isFiltered)
        return html`<${Empty} icon="search" title="No such runs"><p>No runs match this actor and status.</p><//>`;
    return html`<${Empty} icon="run" title="No runs yet">
        <p>
            Each run of an actor has its own store, with its input and output. This command starts an actor on your
            machine:
        </p>
        <p><code>larder run --input input.json -- node main.js</code></p>
    <//>`;
}
