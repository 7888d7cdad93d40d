// Text, as it is.

import * as records from '../../../calls/records.js';
import { beginning } from '../../../bytes.js';
import { CopyButton } from '../../../components/copy.js';
import { CheckField } from '../../../components/field.js';
import { Failure, Loading } from '../../../components/states.js';
import { size } from '../../../format.js';
import { useLoad } from '../../../load.js';
import { charsetOf } from '../../../media.js';
import { html, useState } from '../../../view.js';

/** Maximum size of shown text (bytes): more slows browsers down. */
const SHOWN = 1024 * 1024;

/**
 * The beginning of a record as text.
 * @param {string} store
 * @param {string} name
 * @param {number} limit bytes
 * @param {AbortSignal} [signal]
 */
export async function textOf(store, name, limit, signal) {
    const answer = await records.get(store, name, { signal });
    const { type } = records.headOf(answer);
    const { bytes, isWhole } = await beginning(answer, limit);
    return { text: new TextDecoder(charsetOf(type)).decode(bytes), isWhole };
}

/** @param {import('./signed.js').Looked} props */
export function TextView({ store, name }) {
    const [isWrapped, setWrapped] = useState(true);
    const read = useLoad((signal) => textOf(store.id, name, SHOWN, signal), [store.id, name]);
    if (read.error) return html`<${Failure} error=${read.error} onRetry=${read.reload} />`;
    if (!read.value) return html`<${Loading} what="the text" />`;
    const { text, isWhole } = read.value;
    return html`<div class="look">
        <div class="tools">
            <${CheckField} label="Wrap lines" checked=${isWrapped} onInput=${setWrapped} />
            <${CopyButton} text=${text} label="Copy text" />
        </div>
        <pre class="text ${isWrapped ? 'wrapped' : ''}" tabindex="0" aria-label="Text">${text}</pre>
        ${!isWhole && html`<p class="notice">Only the first ${size(SHOWN)} are shown. Download the record to see all of it.</p>`}
    </div>`;
}
