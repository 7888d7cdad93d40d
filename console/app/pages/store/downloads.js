// Downloads: one record, several, or all that a list has. The browser fetches them itself, by a link that opens for some
// minutes, so that no file passes through the page's memory.

import { target } from '../../api.js';
import { recordPath } from '../../calls/records.js';
import { viewLink } from '../../calls/stores.js';
import { Button } from '../../components/button.js';
import { toast } from '../../components/toast.js';
import { html, useState } from '../../view.js';

/** @param {string} url */
function follow(url) {
    const link = document.createElement('a');
    link.href = url;
    link.download = '';
    link.click();
}

/**
 * Downloads one record as a file.
 * @param {string} store
 * @param {string} key
 */
export async function downloadRecord(store, key) {
    const { signature } = await viewLink(store, key);
    follow(target(recordPath(store, key), { attachment: true, signature }));
}

/**
 * Downloads records as one ZIP file: the given ones, or all that `prefix` and `collection` let through.
 * @param {string} store
 * @param {{ keys?: string[], prefix?: string, collection?: string }} which
 */
async function downloadZip(store, { keys, prefix, collection }) {
    const { signature } = await viewLink(store);
    const query = { keys: keys?.join(','), prefix, collection, signature };
    follow(target(`/v2/key-value-stores/${encodeURIComponent(store)}/records`, query));
}

/**
 * @param {{ store: import('../../calls/stores.js').Store, keys?: string[], prefix?: string, collection?: string }} props
 * `keys`: those that are chosen; without them, all.
 */
export function DownloadButtons({ store, keys, prefix, collection }) {
    const [isBusy, setBusy] = useState(false);
    const run = async () => {
        setBusy(true);
        try {
            if (keys?.length === 1) await downloadRecord(store.id, keys[0]);
            else await downloadZip(store.id, { keys, prefix, collection });
        } catch (error) {
            toast(error instanceof Error ? error.message : String(error), 'error');
        }
        setBusy(false);
    };
    const text = keys ? (keys.length === 1 ? 'Download' : 'Download as ZIP') : 'Download all';
    return html`<${Button} icon="download" isBusy=${isBusy} onClick=${run}>${text}<//>`;
}
