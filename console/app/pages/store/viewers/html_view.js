// HTML: the page in a frame that can run nothing and reach nothing, and its source.

import { Button } from '../../../components/button.js';
import { Tabs } from '../../../components/tabs.js';
import { html, useId, useState } from '../../../view.js';
import { TextView } from './text.js';
import { Signed } from './signed.js';

const TABS = [
    { name: 'page', title: 'Page' },
    { name: 'source', title: 'Source' },
];

/** @param {import('./signed.js').Looked} props */
export function HtmlView(props) {
    const [tab, setTab] = useState('page');
    const panel = useId();
    return html`<div class="look">
        <${Tabs} label="Look" tabs=${TABS} current=${tab} onChange=${setTab} panel=${panel} />
        <div id=${panel} role="tabpanel" aria-label=${tab === 'page' ? 'Page' : 'Source'} class="look">
            ${tab === 'source' ? html`<${TextView} ...${props} />` : html`<${Page} ...${props} />`}
        </div>
    </div>`;
}

/**
 * The page. What it names of other servers is loaded once the user asks for it: they learn who looks at it, and when.
 * @param {import('./signed.js').Looked} props
 */
function Page({ store, name, head }) {
    // For this version of this record alone: what is written under the key later was not asked for.
    const version = `${store.id}/${name}/${head.etag}`;
    const [loaded, setLoaded] = useState('');
    const isAlone = loaded !== version;
    return html`${
            isAlone &&
            html`<div class="tools">
                <span class="dim">Content of other servers is not loaded.</span>
                <${Button} onClick=${() => setLoaded(version)}>Load remote content<//>
            </div>`
        }
        <${Signed} store=${store.id} name=${name} blockRemoteContent=${isAlone}>
            ${(/** @type {string} */ path) =>
                // The gateway sends such records with a sandbox of their own; this is a second one. A frame is made anew, so that
                // none is ever turned from the one into the other by what is in it.
                html`<iframe
                    key=${path}
                    class="page"
                    sandbox=""
                    referrerpolicy="no-referrer"
                    title=${`Page of ${name}`}
                    src=${path}
                ></iframe>`}
        <//>`;
}
