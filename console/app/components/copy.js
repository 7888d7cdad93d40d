// Copying in one click.

import { html, useEffect, useState } from '../view.js';
import { Button } from './button.js';
import { toast } from './toast.js';

/** Duration of the confirmation on the button (milliseconds). */
const SHOWN = 1600;

/**
 * Puts a text into the clipboard. Browsers let only pages over HTTPS, and those of this machine, use the newer way.
 * @param {string} text
 */
export async function copy(text) {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return;
    }
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'offscreen';
    // A dialog in front makes everything outside of it deaf.
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const worked = document.execCommand('copy');
    area.remove();
    if (!worked) throw new Error('The browser does not let the page copy.');
}

/**
 * A button that copies `text`, or what `make` comes to.
 * @param {{ text?: string, make?: () => Promise<string>, label?: string, kind?: string, children?: any }} props
 */
export function CopyButton({ text, make, label = 'Copy', kind = 'quiet', children }) {
    const [isDone, setDone] = useState(false);
    useEffect(() => {
        if (!isDone) return undefined;
        const timer = setTimeout(() => setDone(false), SHOWN);
        return () => clearTimeout(timer);
    }, [isDone]);
    const run = async () => {
        try {
            await copy(make ? await make() : (text ?? ''));
            setDone(true);
            toast('Copied');
        } catch (error) {
            toast(error instanceof Error ? error.message : String(error), 'error');
        }
    };
    return html`<${Button} icon=${isDone ? 'check' : 'copy'} kind=${kind} label=${label} onClick=${run}
        >${children}<//
    >`;
}

/**
 * Some lines to be copied whole: code, a link, a secret.
 * @param {{ text: string, label: string }} props
 */
export function Snippet({ text, label }) {
    return html`<div class="snippet">
        <pre tabindex="0" aria-label=${label}><code>${text}</code></pre>
        <${CopyButton} text=${text} label=${`Copy ${label}`} />
    </div>`;
}
