// A JSON value as a tree: walked by the arrow keys (the pattern of the ARIA Authoring Practices), searched, and each place of it
// copied as a path or as a value.

import { Button } from '../../../components/button.js';
import { copy } from '../../../components/copy.js';
import { SearchField } from '../../../components/field.js';
import { toast } from '../../../components/toast.js';
import { ExactNumber } from '../../../exact_json.js';
import { count, counted } from '../../../format.js';
import { html, useEffect, useId, useMemo, useRef, useState } from '../../../view.js';
import { childrenOf, find, isBranch, pathText, summary } from './json_paths.js';

/** Number of members shown per level before "Show more". */
const SHOWN = 200;

/** Maximum number of counted matches. */
const FINDS = 1000;

/** Initial depth of the tree, while it is small. */
const OPEN_DEPTH = 2;

/** @typedef {import('./json_paths.js').Path} Path */

/** @param {Path} path */
const nameOf = (path) => JSON.stringify(path);

/** @param {{ value: unknown }} props */
export function Tree({ value }) {
    const [open, setOpen] = useState(() => new Set(firstOpen(value)));
    const [current, setCurrent] = useState(nameOf([]));
    const [search, setSearch] = useState('');
    const [at, setAt] = useState(0);
    const tree = useRef(/** @type {HTMLElement | null} */ (null));
    const finds = useMemo(() => (search ? find(value, search, FINDS) : []), [value, search]);
    /** @param {string} name @param {boolean} isOpen */
    const turn = (name, isOpen) => {
        const next = new Set(open);
        if (isOpen) next.add(name);
        else next.delete(name);
        setOpen(next);
    };
    /** @param {number} index */
    const show = (index) => {
        if (finds.length === 0) return;
        const to = (index + finds.length) % finds.length;
        const path = finds[to];
        setAt(to);
        setOpen(
            new Set([
                ...open,
                ...path.map((/** @type {unknown} */ _, /** @type {number} */ depth) => nameOf(path.slice(0, depth))),
            ]),
        );
        setCurrent(nameOf(path));
    };
    useEffect(() => {
        if (search) show(0);
    }, [search, finds]);
    useEffect(() => {
        if (search) tree.current?.querySelector('[data-current]')?.scrollIntoView({ block: 'nearest' });
    }, [current]);
    const found = new Set(finds.map(nameOf));
    const shared = { open, turn, current, setCurrent, found, tree };
    return html`
        <div class="tools">
            <${SearchField}
                label="Search in this record"
                placeholder="Search names and values"
                value=${search}
                onInput=${setSearch}
            />
            ${
                search &&
                html`<span class="dim" aria-live="polite">
                        ${finds.length === 0 ? 'Nothing found' : `${at + 1} of ${counted(finds.length, 'find')}${finds.length === FINDS ? ' or more' : ''}`}
                    </span>
                    <${Button}
                        icon="left"
                        kind="quiet"
                        label="Previous find"
                        disabled=${finds.length === 0}
                        onClick=${() => show(at - 1)}
                    />
                    <${Button}
                        icon="right"
                        kind="quiet"
                        label="Next find"
                        disabled=${finds.length === 0}
                        onClick=${() => show(at + 1)}
                    />`
            }
        </div>
        <ul
            class="tree"
            role="tree"
            aria-label="JSON"
            ref=${tree}
            onKeyDown=${(/** @type {KeyboardEvent} */ event) => walk(event, shared)}
        >
            <${Node} value=${value} path=${[]} ...${shared} />
        </ul>
    `;
}

/**
 * Returns the initially open branches: the outer levels, while they are small.
 * @param {unknown} value
 */
function firstOpen(value) {
    /** @type {string[]} */
    const open = [];
    /** @param {unknown} part @param {Path} path */
    const walkDown = (part, path) => {
        if (!isBranch(part) || path.length > OPEN_DEPTH) return;
        const children = childrenOf(part);
        if (path.length > 0 && children.length > 50) return;
        open.push(nameOf(path));
        for (const [name, child] of children.slice(0, SHOWN)) walkDown(child, [...path, name]);
    };
    walkDown(value, []);
    return open;
}

/**
 * @typedef {object} Shared
 * @property {Set<string>} open
 * @property {(name: string, isOpen: boolean) => void} turn
 * @property {string} current
 * @property {(name: string) => void} setCurrent
 * @property {Set<string>} found
 * @property {{ current: HTMLElement | null }} tree
 */

/** @param {Shared & { value: unknown, path: Path }} props */
function Node({ value, path, ...shared }) {
    const [shown, setShown] = useState(SHOWN);
    const group = useId();
    const name = nameOf(path);
    const branches = isBranch(value);
    const isOpen = branches && shared.open.has(name);
    const isCurrent = shared.current === name;
    const children = isOpen ? childrenOf(value) : [];
    const label = path.length === 0 ? null : path[path.length - 1];
    // The group stands beside its item, not in it: an item is called what is written on it, and no more.
    return html`<li role="none" data-current=${isCurrent ? '' : undefined}>
        <div
            class="line ${shared.found.has(name) ? 'is-found' : ''}"
            onClick=${() => (branches ? shared.turn(name, !isOpen) : undefined)}
        >
            <span
                role="treeitem"
                class="item"
                aria-expanded=${branches ? (isOpen ? 'true' : 'false') : undefined}
                aria-selected=${isCurrent ? 'true' : 'false'}
                aria-level=${path.length + 1}
                aria-owns=${isOpen ? group : undefined}
                tabindex=${isCurrent ? 0 : -1}
                data-name=${name}
                onFocus=${() => shared.setCurrent(name)}
            >
                ${label !== null && html`<span class="label ${typeof label === 'number' ? 'index' : ''}">${label}</span>`}
                <${Value} value=${value} />
            </span>
            <span class="copies">
                <button
                    type="button"
                    tabindex="-1"
                    onClick=${(/** @type {Event} */ event) => copied(event, pathText(path), 'Path copied')}
                >
                    path
                </button>
                <button
                    type="button"
                    tabindex="-1"
                    onClick=${(/** @type {Event} */ event) => copied(event, valueText(value), 'Value copied')}
                >
                    value
                </button>
            </span>
        </div>
        ${
            isOpen &&
            html`<ul role="group" id=${group}>
                ${children
                    .slice(0, shown)
                    .map(
                        ([child, part]) =>
                            html`<${Node} key=${child} value=${part} path=${[...path, child]} ...${shared} />`,
                    )}
                ${
                    children.length > shown &&
                    html`<li role="none">
                        <button type="button" class="link" onClick=${() => setShown(shown + SHOWN)}>
                            ${count(children.length - shown)} more
                        </button>
                    </li>`
                }
            </ul>`
        }
    </li>`;
}

/** @param {{ value: unknown }} props */
function Value({ value }) {
    if (isBranch(value)) return html`<span class="summary">${summary(value)}</span>`;
    const kind = value === null ? 'null' : value instanceof ExactNumber ? 'number' : typeof value;
    return html`<span class="value ${kind}">${kind === 'string' ? JSON.stringify(value) : String(value)}</span>`;
}

/** @param {unknown} value */
function valueText(value) {
    return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

/** @param {Event} event @param {string} text @param {string} said */
async function copied(event, text, said) {
    event.stopPropagation();
    try {
        await copy(text);
        toast(said);
    } catch (error) {
        toast(error instanceof Error ? error.message : String(error), 'error');
    }
}

/** @param {KeyboardEvent} event @param {Shared} shared */
function walk(event, { turn, tree }) {
    const item = event.target instanceof Element ? event.target.closest('[role=treeitem]') : null;
    if (!(item instanceof HTMLElement) || !tree.current) return;
    const items = [...tree.current.querySelectorAll('[role=treeitem]')];
    const at = items.indexOf(item);
    const [name, expanded] = [item.dataset.name ?? '', item.getAttribute('aria-expanded')];
    /** @param {Element | null | undefined} to */
    const focus = (to) => (to instanceof HTMLElement ? to.focus() : undefined);
    switch (event.key) {
        case 'ArrowDown':
            focus(items[at + 1]);
            break;
        case 'ArrowUp':
            focus(items[at - 1]);
            break;
        case 'Home':
            focus(items[0]);
            break;
        case 'End':
            focus(items[items.length - 1]);
            break;
        case 'ArrowRight':
            if (expanded === 'false') turn(name, true);
            else if (expanded === 'true') focus(items[at + 1]);
            break;
        case 'ArrowLeft':
            if (expanded === 'true') turn(name, false);
            else focus(item.closest('ul')?.parentElement?.querySelector('[role=treeitem]'));
            break;
        case 'Enter':
        case ' ':
            if (expanded !== null) turn(name, expanded === 'false');
            break;
        case 'c':
            if (event.ctrlKey || event.metaKey) return;
            void copied(event, pathText(JSON.parse(name)), 'Path copied');
            break;
        default:
            return;
    }
    event.preventDefault();
    event.stopPropagation();
}
