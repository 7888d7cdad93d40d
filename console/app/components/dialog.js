// Questions in front of a page, by the browser's own <dialog>: it keeps the focus inside and ends with Escape.

import { html, useEffect, useId, useRef } from '../view.js';
import { Button } from './button.js';
import { Failure } from './states.js';

/**
 * A dialog, open for as long as it is shown.
 * @param {{ title: string, onClose: () => void, isWide?: boolean, children?: any }} props
 */
export function Dialog({ title, onClose, isWide = false, children }) {
    const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
    const id = useId();
    useEffect(() => {
        const before = document.activeElement;
        element.current?.showModal();
        return () => {
            if (before instanceof HTMLElement) before.focus();
        };
    }, []);
    /** @param {Event} event */
    const cancel = (event) => {
        event.preventDefault();
        onClose();
    };
    return html`<dialog ref=${element} class=${isWide ? 'wide' : ''} aria-labelledby=${id} onCancel=${cancel}>
        <header>
            <h2 id=${id}>${title}</h2>
            <${Button} icon="cross" kind="quiet" label="Close" onClick=${onClose} />
        </header>
        ${children}
    </dialog>`;
}

/**
 * A dialog with a form: what it asks for is done when it is sent, and it closes if that went well.
 * @param {{
 *   title: string, action: string, kind?: 'primary' | 'danger', isReady?: boolean, onClose: () => void,
 *   doing: { run: () => Promise<boolean>, isRunning: boolean, error: Error | undefined }, children?: any,
 * }} props
 */
export function FormDialog({ title, action, kind = 'primary', isReady = true, onClose, doing, children }) {
    /** @param {SubmitEvent} event */
    const submit = async (event) => {
        event.preventDefault();
        if (isReady && (await doing.run())) onClose();
    };
    return html`<${Dialog} title=${title} onClose=${onClose}>
        <form onSubmit=${submit}>
            <div class="body">${children} ${doing.error && html`<${Failure} error=${doing.error} />`}</div>
            <footer>
                <${Button} onClick=${onClose}>Cancel<//>
                <${Button} type="submit" kind=${kind} isBusy=${doing.isRunning} disabled=${!isReady}>${action}<//>
            </footer>
        </form>
    <//>`;
}
