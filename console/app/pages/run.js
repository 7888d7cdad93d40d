// One run: what became of it, its input, its output, what it costs, and the way to its store.

import * as records from '../calls/records.js';
import * as runs from '../calls/runs.js';
import { Button, ButtonLink } from '../components/button.js';
import { FormDialog } from '../components/dialog.js';
import { PageHead } from '../components/layout.js';
import { Status, isOver } from '../components/run_status.js';
import { Failure, Loading } from '../components/states.js';
import { Time } from '../components/time.js';
import { Usage } from '../components/usage.js';
import { ApiError } from '../api.js';
import { beginning } from '../bytes.js';
import { indented } from '../exact_json.js';
import { size, span } from '../format.js';
import { useAction, useLoad } from '../load.js';
import { charsetOf, kindOf } from '../media.js';
import { address } from '../router.js';
import { account } from '../session.js';
import { useSignal } from '../signal.js';
import { html, useEffect, useState } from '../view.js';

/** Interval between reloads of a running run (milliseconds). */
const PACE = 3000;

/** Maximum size of shown input and output (bytes). */
const SHOWN = 256 * 1024;

/** @param {{ id: string }} props */
export function RunPage({ id }) {
    const loaded = useLoad((signal) => runs.get(id, signal), [id]);
    const [isAsking, setAsking] = useState(false);
    const who = useSignal(account);
    const run = loaded.value;
    const goesOn = run !== undefined && !isOver(run.status);
    useEffect(() => {
        if (!goesOn) return undefined;
        const timer = setInterval(() => {
            if (document.visibilityState === 'visible') loaded.reload();
        }, PACE);
        return () => clearInterval(timer);
    }, [goesOn]);
    const aborting = useAction(async () => loaded.put(await runs.abort(id)));
    if (!run) {
        if (loaded.error)
            return html`<${PageHead} title="Run" /><${Failure} error=${loaded.error} onRetry=${loaded.reload} />`;
        return html`<${Loading} what="the run" />`;
    }
    const store = run.defaultKeyValueStoreId;
    return html`
        <${PageHead}
            title=${`Run ${run.id}`}
            above=${html`<a href=${address(['runs'])}>Runs</a>`}
            below=${html`<${Status} status=${run.status} />`}
        >
            ${(run.status === 'READY' || run.status === 'RUNNING') && html`<${Button} kind="danger" onClick=${() => setAsking(true)}>Abort<//>`}
            <${ButtonLink} icon="store" href=${address(['key-value-stores', store])}>Open its store<//>
        <//>
        ${loaded.error && html`<${Failure} error=${loaded.error} onRetry=${loaded.reload} />`}
        <dl class="panel facts">
            ${
                run.statusMessage &&
                html`<dt>Status message</dt>
                    <dd>${run.statusMessage}</dd>`
            }
            <dt>Started</dt>
            <dd><${Time} at=${run.startedAt} />${run.meta?.origin && html`, by ${run.meta.origin}`}</dd>
            <dt>Finished</dt>
            <dd><${Time} at=${run.finishedAt} none="not yet" /></dd>
            <dt>Duration</dt>
            <dd>${span(run.startedAt, run.finishedAt)}</dd>
            ${
                run.exitCode !== null &&
                run.exitCode !== undefined &&
                html`<dt>Exit code</dt>
                    <dd>${run.exitCode}</dd>`
            }
            <dt>Actor</dt>
            <dd>
                <a href=${address(['runs'], { actor: run.actId })}><code>${run.actId}</code></a>
            </dd>
        </dl>
        <${Content} title="Input" store=${store} name="INPUT" version="" />
        <${Content} title="Output" store=${store} name="OUTPUT" version=${run.status} />
        ${mayManage(who, run) && html`<${Usage} of=${{ run: run.id }} />`}
        ${
            isAsking &&
            html`<${FormDialog}
                title="Abort run"
                action="Abort"
                kind="danger"
                doing=${aborting}
                onClose=${() => setAsking(false)}
            >
                <p>The process of this run is asked to stop. Its records stay.</p>
            <//>`
        }
    `;
}

/**
 * Returns whether usage is shown: to the owner and the administrator, with an unlimited token.
 * @param {import('../session.js').Account | null} who
 * @param {runs.Run} run
 */
function mayManage(who, run) {
    return who !== null && !who.token.scope && (who.isAdmin || who.id === run.userId);
}

/**
 * A record of the run's store, asked for again when `version` changes.
 * @param {{ title: string, store: string, name: string, version: string }} props
 */
function Content({ title, store, name, version }) {
    const read = useLoad((signal) => contentOf(store, name, signal), [store, name, version]);
    const page = address(['key-value-stores', store], { key: name });
    return html`<section class="panel">
        <h2>${title}</h2>
        ${read.error && html`<${Failure} error=${read.error} onRetry=${read.reload} />`}
        ${read.value === null && html`<p class="dim">None.</p>`}
        ${
            read.value &&
            html`
                ${read.value.text !== null && html`<pre class="text wrapped" tabindex="0" aria-label=${title}>${read.value.text}</pre>`}
                <p class="dim">
                    ${read.value.type}${read.value.size !== null && html`, ${size(read.value.size)}`} ·${' '}
                    <a href=${page}>Open the record</a>
                </p>
            `
        }
    </section>`;
}

/**
 * @param {string} store
 * @param {string} name
 * @param {AbortSignal} signal
 */
async function contentOf(store, name, signal) {
    try {
        const answer = await records.get(store, name, { signal });
        const { type, size: length } = records.headOf(answer);
        const kind = kindOf(type);
        const { bytes, isWhole } = await beginning(answer, SHOWN);
        if (!isWhole || !['json', 'text', 'html'].includes(kind)) return { type, size: length, text: null };
        const text = new TextDecoder(charsetOf(type)).decode(bytes);
        return { type, size: length, text: kind === 'json' ? indented(text) : text };
    } catch (error) {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
    }
}
