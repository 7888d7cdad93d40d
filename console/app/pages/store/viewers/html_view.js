// HTML: the page in a frame that can run nothing and reach nothing, and its source.

import { Tabs } from '../../../components/tabs.js';
import { html, useId, useState } from '../../../view.js';
import { TextView } from './text.js';
import { Signed } from './view.js';

const TABS = [
    { name: 'page', title: 'Page' },
    { name: 'source', title: 'Source' },
];

/** @param {import('./view.js').Looked} props */
export function HtmlView(props) {
    const [tab, setTab] = useState('page');
    const panel = useId();
    const { store, name } = props;
    return html`<div class="look">
        <${Tabs} label="Look" tabs=${TABS} current=${tab} onChange=${setTab} panel=${panel} />
        <div id=${panel} role="tabpanel" aria-label=${tab === 'page' ? 'Page' : 'Source'} class="look">
            ${
                tab === 'source'
                    ? html`<${TextView} ...${props} />`
                    : html`<${Signed} store=${store.id} name=${name}>
                          ${(/** @type {string} */ path) =>
                              // The gateway sends such records with a sandbox of their own; this is a second one.
                              html`<iframe
                                  class="page"
                                  sandbox=""
                                  referrerpolicy="no-referrer"
                                  title=${`Page of ${name}`}
                                  src=${path}
                              ></iframe>`}
                      <//>`
            }
        </div>
    </div>`;
}
