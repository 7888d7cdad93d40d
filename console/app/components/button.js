// Buttons, and links that look like them.

import { html } from '../view.js';
import { Icon } from './icon.js';

/**
 * A button. `label` is read out in place of what is on it, and shown as a hint: a picture needs one.
 * @param {{
 *   icon?: import('./icon.js').IconName, kind?: 'plain' | 'primary' | 'danger' | 'quiet', label?: string, type?: string,
 *   isBusy?: boolean, disabled?: boolean, onClick?: (event: MouseEvent) => void, children?: any, [more: string]: any,
 * }} props
 */
export function Button({ icon, kind = 'plain', label, type = 'button', isBusy = false, disabled, children, ...more }) {
    const isPicture = !children;
    return html`<button
        type=${type}
        class="button ${kind} ${isPicture ? 'picture' : ''}"
        aria-label=${label}
        title=${label}
        aria-busy=${isBusy ? 'true' : undefined}
        disabled=${disabled || isBusy}
        ...${more}
    >
        ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}
    </button>`;
}

/**
 * A link that looks like a button.
 * @param {{ icon?: import('./icon.js').IconName, kind?: string, label?: string, href: string, children?: any, [more: string]: any }} props
 */
export function ButtonLink({ icon, kind = 'plain', label, href, children, ...more }) {
    const isPicture = !children;
    return html`<a
        class="button ${kind} ${isPicture ? 'picture' : ''}"
        href=${href}
        aria-label=${label}
        title=${label}
        ...${more}
    >
        ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}
    </a>`;
}
