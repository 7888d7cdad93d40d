// JSON: a tree that opens where one looks, with search, and its source.

import { CopyButton } from '../../../components/copy.js';
import { Failure, Loading } from '../../../components/states.js';
import { Tabs } from '../../../components/tabs.js';
import { parseExactly } from '../../../exact_json.js';
import { size } from '../../../format.js';
import { useLoad } from '../../../load.js';
import { html, useId, useMemo, useState } from '../../../view.js';
import { Tree } from './json_tree.js';
import { TextView, textOf } from './text.js';

/** The most of a record that becomes a tree (bytes). */
const LARGEST_TREE = 16 * 1024 * 1024;

const TABS = [
    { name: 'tree', title: 'Tree' },
    { name: 'source', title: 'Source' },
];

/** @param {import('./signed.js').Looked} props */
export function JsonView(props) {
    const { store, name } = props;
    const [tab, setTab] = useState('tree');
    const panel = useId();
    const read = useLoad((signal) => textOf(store.id, name, LARGEST_TREE, signal), [store.id, name]);
    const parsed = useMemo(() => (read.value ? parse(read.value) : null), [read.value]);
    if (read.error) return html`<${Failure} error=${read.error} onRetry=${read.reload} />`;
    if (!parsed) return html`<${Loading} what="the record" />`;
    if ('mistake' in parsed)
        return html`<p class="notice">${parsed.mistake}</p>
            <${TextView} ...${props} />`;
    return html`<div class="look">
        <div class="tools">
            <${Tabs} label="Look" tabs=${TABS} current=${tab} onChange=${setTab} panel=${panel} />
            <${CopyButton} text=${read.value?.text} label="Copy source" />
        </div>
        <div id=${panel} role="tabpanel" aria-label=${tab === 'tree' ? 'Tree' : 'Source'} class="look">
            ${tab === 'tree' ? html`<${Tree} value=${parsed.value} />` : html`<${TextView} ...${props} />`}
        </div>
    </div>`;
}

/**
 * @param {{ text: string, isWhole: boolean }} read
 * @returns {{ value: unknown } | { mistake: string }}
 */
function parse({ text, isWhole }) {
    if (!isWhole) return { mistake: `It is larger than ${size(LARGEST_TREE)}: here is the beginning of its source.` };
    try {
        return { value: parseExactly(text) };
    } catch (error) {
        return { mistake: `Declared as JSON, but not valid JSON: ${error instanceof Error ? error.message : error}` };
    }
}
