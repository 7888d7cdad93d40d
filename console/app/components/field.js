// Fields of forms, each with its label and a line of help.

import { html, useId } from '../view.js';

/**
 * A line of text.
 * @param {{
 *   label: string, value: string, onInput: (value: string) => void, help?: any, type?: string, isMono?: boolean,
 *   [more: string]: any,
 * }} props
 */
export function TextField({ label, value, onInput, help, type = 'text', isMono = false, ...more }) {
    const id = useId();
    return html`<div class="field">
        <label for=${id}>${label}</label>
        <input
            id=${id}
            type=${type}
            class=${isMono ? 'mono' : ''}
            value=${value}
            onInput=${(/** @type {InputEvent} */ event) => onInput(inputOf(event).value)}
            aria-describedby=${help ? `${id}-help` : undefined}
            autocomplete="off"
            spellcheck=${false}
            ...${more}
        />
        ${help && html`<p class="help" id=${`${id}-help`}>${help}</p>`}
    </div>`;
}

/**
 * A choice of a few.
 * @param {{
 *   label: string, value: string, onInput: (value: string) => void, options: [string, string][], help?: any,
 *   [more: string]: any,
 * }} props
 */
export function SelectField({ label, value, onInput, options, help, ...more }) {
    const id = useId();
    return html`<div class="field">
        <label for=${id}>${label}</label>
        <select
            id=${id}
            value=${value}
            onInput=${(/** @type {InputEvent} */ event) => onInput(inputOf(event).value)}
            aria-describedby=${help ? `${id}-help` : undefined}
            ...${more}
        >
            ${options.map(([name, text]) => html`<option value=${name} selected=${name === value}>${text}</option>`)}
        </select>
        ${help && html`<p class="help" id=${`${id}-help`}>${help}</p>`}
    </div>`;
}

/**
 * Something that is so or not.
 * @param {{ label: any, checked: boolean, onInput: (checked: boolean) => void, help?: any, [more: string]: any }} props
 */
export function CheckField({ label, checked, onInput, help, ...more }) {
    const id = useId();
    return html`<div class="field check">
        <input
            id=${id}
            type="checkbox"
            checked=${checked}
            onInput=${(/** @type {InputEvent} */ event) => onInput(inputOf(event).checked)}
            aria-describedby=${help ? `${id}-help` : undefined}
            ...${more}
        />
        <label for=${id}>${label}</label>
        ${help && html`<p class="help" id=${`${id}-help`}>${help}</p>`}
    </div>`;
}

/**
 * One of several, each explained.
 * @param {{
 *   legend: string, value: string, onInput: (value: string) => void, options: { value: string, label: string, help?: string }[],
 *   disabled?: boolean,
 * }} props
 */
export function RadioField({ legend, value, onInput, options, disabled = false }) {
    const name = useId();
    return html`<fieldset class="field radios" disabled=${disabled}>
        <legend>${legend}</legend>
        ${options.map(
            (option) =>
                html`<label key=${option.value}>
                    <input
                        type="radio"
                        name=${name}
                        value=${option.value}
                        checked=${option.value === value}
                        onChange=${() => onInput(option.value)}
                    />
                    <span
                        ><span class="name">${option.label}</span
                        >${option.help && html`<span class="help">${option.help}</span>`}</span
                    >
                </label>`,
        )}
    </fieldset>`;
}

/**
 * A search field: reports its value a moment after the last key stroke.
 * @param {{ label: string, value: string, onInput: (value: string) => void, placeholder?: string }} props
 */
export function SearchField({ label, value, onInput, placeholder }) {
    return html`<input
        type="search"
        class="search"
        aria-label=${label}
        placeholder=${placeholder ?? label}
        value=${value}
        onInput=${(/** @type {InputEvent} */ event) => onInput(inputOf(event).value)}
        autocomplete="off"
        spellcheck=${false}
    />`;
}

/**
 * @param {Event} event
 * @returns {HTMLInputElement}
 */
export function inputOf(event) {
    return /** @type {HTMLInputElement} */ (event.target);
}
