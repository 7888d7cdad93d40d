// From page to page.

import { html } from '../view.js';
import { Button } from './button.js';

/**
 * @param {{ text: any, onBack?: () => void, onNext?: () => void, children?: any }} props
 * A direction that is not given is one that one cannot go.
 */
export function Pager({ text, onBack, onNext, children }) {
    return html`<nav class="pager" aria-label="Pages">
        <span class="where" aria-live="polite">${text}</span>
        ${children}
        <${Button} icon="left" label="Previous page" disabled=${!onBack} onClick=${onBack} />
        <${Button} icon="right" label="Next page" disabled=${!onNext} onClick=${onNext} />
    </nav>`;
}
