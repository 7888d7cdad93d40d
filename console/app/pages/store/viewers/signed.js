// Signed paths of records, for viewers whose elements send no token.

import { signedPath } from '../../../calls/records.js';
import { viewLink } from '../../../calls/stores.js';
import { Failure, Loading } from '../../../components/states.js';
import { useLoad } from '../../../load.js';
import { html } from '../../../view.js';

/**
 * Props of every viewer.
 * @typedef {object} Looked
 * @property {import('../../../calls/stores.js').Store} store
 * @property {string} name
 * @property {import('../../../calls/records.js').Head} head
 */

/**
 * Passes its children a signed path of a record, which elements such as `<img>` can load without a token. It is valid for some
 * minutes; `renew` requests another one. With `blockRemoteContent`, the browser loads no content of other servers.
 * @param {{ store: string, name: string, blockRemoteContent?: boolean, children: (path: string, renew: () => void) => any }} props
 */
export function Signed({ store, name, blockRemoteContent = false, children }) {
    const link = useLoad(() => viewLink(store, name), [store, name]);
    if (link.error) return html`<${Failure} error=${link.error} onRetry=${link.reload} />`;
    if (!link.value) return html`<${Loading} what="the record" />`;
    return children(signedPath(store, name, link.value.signature, { blockRemoteContent }), link.reload);
}
