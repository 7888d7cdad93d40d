// Which look suits which type.

import { signedPath } from '../../../calls/records.js';
import { viewLink } from '../../../calls/stores.js';
import { Failure, Loading } from '../../../components/states.js';
import { useLoad } from '../../../load.js';
import { html } from '../../../view.js';
import { Binary } from './binary.js';
import { HtmlView } from './html_view.js';
import { ImageView } from './image.js';
import { JsonView } from './json.js';
import { Media } from './media.js';
import { Pdf } from './pdf.js';
import { TextView } from './text.js';

/**
 * What every look is given.
 * @typedef {object} Looked
 * @property {import('../../../calls/stores.js').Store} store
 * @property {string} name
 * @property {import('../../../calls/records.js').Head} head
 */

/** @param {Looked & { kind: import('../../../media.js').Kind }} props */
export function View({ kind, ...looked }) {
    switch (kind) {
        case 'json':
            return html`<${JsonView} ...${looked} />`;
        case 'html':
            return html`<${HtmlView} ...${looked} />`;
        case 'image':
            return html`<${ImageView} ...${looked} />`;
        case 'pdf':
            return html`<${Pdf} ...${looked} />`;
        case 'audio':
        case 'video':
            return html`<${Media} kind=${kind} ...${looked} />`;
        case 'text':
            return html`<${TextView} ...${looked} />`;
        case 'binary':
            return html`<${Binary} ...${looked} />`;
        default:
            return null;
    }
}

/**
 * Gives its children the address of a record that a browser's own elements can open: they send no token, so it is signed, for some
 * minutes. `onEnd` asks for another one. With `blockRemoteContent`, the browser loads nothing else for it.
 * @param {{ store: string, name: string, blockRemoteContent?: boolean, children: (path: string, renew: () => void) => any }} props
 */
export function Signed({ store, name, blockRemoteContent = false, children }) {
    const link = useLoad(() => viewLink(store, name), [store, name]);
    if (link.error) return html`<${Failure} error=${link.error} onRetry=${link.reload} />`;
    if (!link.value) return html`<${Loading} what="the record" />`;
    return children(signedPath(store, name, link.value.signature, { blockRemoteContent }), link.reload);
}
