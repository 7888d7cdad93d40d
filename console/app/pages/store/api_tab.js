// Every endpoint of a store, with lines that are ready to be used, and a try of each that shows the real answer.

import { Snippet } from '../../components/copy.js';
import { Tabs } from '../../components/tabs.js';
import { ROOT } from '../../root.js';
import { html, useId, useState } from '../../view.js';
import { endpointsOf } from './api_lines.js';
import { TryIt } from './try_it.js';

const LANGUAGES = [
    { name: 'curl', title: 'curl' },
    { name: 'javascript', title: 'JavaScript' },
    { name: 'python', title: 'Python' },
];

/** @param {import('./store.js').TabProps} props */
export function ApiTab({ store, onReload }) {
    const [language, setLanguage] = useState('curl');
    const panel = useId();
    const endpoints = endpointsOf(window.location.origin + ROOT, store);
    return html`
        <p class="dim">
            The examples read the token from the variable <code>LARDER_TOKEN</code>. JavaScript and Python use the
            official clients (<code>npm install apify-client</code>, <code>pip install apify-client</code>).
        </p>
        <${Tabs} label="Language" tabs=${LANGUAGES} current=${language} onChange=${setLanguage} panel=${panel} />
        <div id=${panel} class="endpoints" role="tabpanel" aria-label="Endpoints">
            ${endpoints.map(
                (endpoint) =>
                    html`<details key=${endpoint.title} class="panel endpoint">
                        <summary>
                            <span class="method ${endpoint.method.toLowerCase()}">${endpoint.method}</span>
                            <strong>${endpoint.title}</strong>
                            <code class="dim">${endpoint.path}</code>
                        </summary>
                        <p>${endpoint.help}</p>
                        <${Snippet}
                            text=${endpoint.lines[/** @type {'curl' | 'javascript' | 'python'} */ (language)]}
                            label=${`${endpoint.title}, ${language}`}
                        />
                        <${TryIt} endpoint=${endpoint} onChanged=${onReload} />
                    </details>`,
            )}
        </div>
    `;
}
