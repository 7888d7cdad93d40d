// Records without a viewer: their first bytes.

import * as records from '../../../calls/records.js';
import { beginning, dump } from '../../../bytes.js';
import { Failure, Loading } from '../../../components/states.js';
import { size } from '../../../format.js';
import { useLoad } from '../../../load.js';
import { html } from '../../../view.js';

/** Number of shown bytes. */
const SHOWN = 4096;

/** @param {import('./signed.js').Looked} props */
export function Binary({ store, name }) {
    const read = useLoad(
        async (signal) => beginning(await records.get(store.id, name, { signal }), SHOWN),
        [store.id, name],
    );
    if (read.error) return html`<${Failure} error=${read.error} onRetry=${read.reload} />`;
    if (!read.value) return html`<${Loading} what="its first bytes" />`;
    const { bytes, isWhole } = read.value;
    return html`<div class="look">
        <pre class="text" tabindex="0" aria-label="Bytes">${dump(bytes)}</pre>
        ${bytes.length === 0 && html`<p class="dim">It is empty.</p>`}
        ${!isWhole && html`<p class="dim">The first ${size(SHOWN)}. Download the record to have all of it.</p>`}
    </div>`;
}
