// A try of an endpoint: what is really sent, and the real answer to it.

import { beginning } from '../../bytes.js';
import { Button } from '../../components/button.js';
import { FormDialog } from '../../components/dialog.js';
import { TextField, inputOf } from '../../components/field.js';
import { Failure } from '../../components/states.js';
import { indented } from '../../exact_json.js';
import { size } from '../../format.js';
import { ask } from '../../api.js';
import { useAction } from '../../load.js';
import { kindOf } from '../../media.js';
import { html, useId, useState } from '../../view.js';

/** Maximum size of a shown response (bytes). */
const SHOWN = 64 * 1024;

/** The headers of an answer that say something. */
const HEADERS = ['Content-Type', 'Content-Length', 'ETag', 'Last-Modified', 'Location', 'Retry-After', 'X-Request-Id'];

/**
 * @typedef {{ status: number, text: string, headers: [string, string][], body: string, took: number }} Answer
 */

/** @param {{ endpoint: import('./api_lines.js').Endpoint, onChanged: () => void }} props */
export function TryIt({ endpoint, onChanged }) {
    const { method, path, query } = endpoint;
    const gap = /\{(key|user)\}/.exec(path);
    const [key, setKey] = useState('');
    const [given, setGiven] = useState(() => Object.fromEntries(query.map(({ name, value }) => [name, value])));
    const [body, setBody] = useState(endpoint.body ?? '');
    const [answer, setAnswer] = useState(/** @type {Answer | null} */ (null));
    const [isAsking, setAsking] = useState(false);
    const id = useId();
    const target = path.replace(/\{(key|user)\}/, encodeURIComponent(key.trim()));
    const isSafe = method === 'GET' || method === 'HEAD';
    const trying = useAction(async () => {
        setAnswer(
            await answerOf(target, {
                method,
                query: given,
                body: endpoint.body === undefined ? undefined : body,
                type: endpoint.type,
            }),
        );
        if (!isSafe) onChanged();
    });
    /** @param {SubmitEvent} event */
    const submit = (event) => {
        event.preventDefault();
        if (isSafe) void trying.run();
        else setAsking(true);
    };
    return html`<form class="try" onSubmit=${submit}>
        <h3>Try it</h3>
        <div class="row">
            ${gap && html`<${TextField} label=${gap[1] === 'key' ? 'Key' : 'User'} value=${key} onInput=${setKey} isMono required />`}
            ${query.map(
                ({ name, label }) =>
                    html`<${TextField}
                        key=${name}
                        label=${label}
                        value=${given[name]}
                        onInput=${(/** @type {string} */ value) => setGiven({ ...given, [name]: value })}
                        isMono
                    />`,
            )}
            <${Button} type="submit" isBusy=${trying.isRunning} disabled=${gap !== null && key.trim() === ''}>Send<//>
        </div>
        ${
            endpoint.body !== undefined &&
            html`<div class="field">
                <label for=${id}>Body, ${endpoint.type}</label>
                <textarea
                    id=${id}
                    class="mono"
                    rows="3"
                    spellcheck=${false}
                    value=${body}
                    onInput=${(/** @type {Event} */ event) => setBody(inputOf(event).value)}
                ></textarea>
            </div>`
        }
        ${trying.error && !isAsking && html`<${Failure} error=${trying.error} />`}
        ${answer && html`<${Shown} answer=${answer} />`}
        ${
            isAsking &&
            html`<${FormDialog}
                title=${endpoint.title}
                action="Send"
                kind=${method === 'DELETE' ? 'danger' : 'primary'}
                doing=${trying}
                onClose=${() => setAsking(false)}
            >
                <p>This sends a real request: <code>${method} ${target}</code>.</p>
            <//>`
        }
    </form>`;
}

/** @param {{ answer: Answer }} props */
function Shown({ answer }) {
    const { status, text, headers, body, took } = answer;
    return html`<div class="answer" role="status">
        <p>
            <span class="badge ${status < 300 ? 'good' : status < 400 ? '' : 'bad'}">${status} ${text}</span>
            <span class="dim"> in ${took} ms</span>
        </p>
        <pre class="text" tabindex="0" aria-label="Response">
${headers.map(([name, value]) => `${name}: ${value}`).join('\n')}${body && `\n\n${body}`}</pre>
    </div>`;
}

/**
 * @param {string} path
 * @param {{ method: string, query: Record<string, string>, body?: string, type?: string }} how
 * @returns {Promise<Answer>}
 */
async function answerOf(path, { method, query, body, type }) {
    const began = performance.now();
    const answer = await ask(path, {
        method,
        query,
        body,
        headers: body === undefined || !type ? {} : { 'Content-Type': type },
    });
    const { bytes, isWhole } = await beginning(answer, SHOWN);
    const took = Math.round(performance.now() - began);
    const headers = HEADERS.filter((name) => answer.headers.has(name)).map(
        (name) => /** @type {[string, string]} */ ([name, answer.headers.get(name) ?? '']),
    );
    return { status: answer.status, text: answer.statusText, headers, body: bodyOf(answer, bytes, isWhole), took };
}

/**
 * @param {Response} answer
 * @param {Uint8Array} bytes
 * @param {boolean} isWhole
 */
function bodyOf(answer, bytes, isWhole) {
    const kind = kindOf(answer.headers.get('Content-Type') ?? '');
    if (bytes.length === 0) return '';
    if (!['json', 'text', 'html'].includes(kind))
        return isWhole ? `(${size(bytes.length)})` : `(more than ${size(bytes.length)})`;
    const text = new TextDecoder().decode(bytes);
    if (!isWhole) return `${text}…`;
    return kind === 'json' ? indented(text) : text;
}
