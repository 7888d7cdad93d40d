// Tabs, walked by the arrow keys (the pattern of the ARIA Authoring Practices).

import { html, useRef } from '../view.js';

/**
 * @param {{ label: string, tabs: { name: string, title: any }[], current: string, onChange: (name: string) => void, panel?: string }} props
 * `panel` is the id of the element that the tabs change.
 */
export function Tabs({ label, tabs, current, onChange, panel }) {
    const list = useRef(/** @type {HTMLElement | null} */ (null));
    /** @param {KeyboardEvent} event */
    const walk = (event) => {
        const at = tabs.findIndex(({ name }) => name === current);
        const steps = /** @type {Record<string, number>} */ ({
            ArrowRight: (at + 1) % tabs.length,
            ArrowLeft: (at + tabs.length - 1) % tabs.length,
            Home: 0,
            End: tabs.length - 1,
        });
        const to = steps[event.key];
        if (to === undefined) return;
        event.preventDefault();
        onChange(tabs[to].name);
        const buttons = list.current?.querySelectorAll('button');
        buttons?.[to]?.focus();
    };
    return html`<div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${walk}>
        ${tabs.map(
            ({ name, title }) =>
                html`<button
                    key=${name}
                    type="button"
                    role="tab"
                    aria-selected=${name === current ? 'true' : 'false'}
                    aria-controls=${panel}
                    tabindex=${name === current ? 0 : -1}
                    onClick=${() => onChange(name)}
                >
                    ${title}
                </button>`,
        )}
    </div>`;
}
