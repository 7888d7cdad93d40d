// Places in a JSON value.

import { ExactNumber } from '../../../exact_json.js';

/** @typedef {(string | number)[]} Path */

/** Returns whether a value is an object or an array. @param {unknown} value @returns {value is object} */
export function isBranch(value) {
    return typeof value === 'object' && value !== null && !(value instanceof ExactNumber);
}

/**
 * Returns the members of a value, in order.
 * @param {object} value
 * @returns {[string | number, unknown][]}
 */
export function childrenOf(value) {
    return Array.isArray(value) ? value.map((part, at) => [at, part]) : Object.entries(value);
}

/**
 * A path as JavaScript and Python programs write it behind a name: `.items[3]["some key"]`.
 * @param {Path} path
 */
export function pathText(path) {
    const text = path.map((part) => {
        if (typeof part === 'number') return `[${part}]`;
        return /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
    });
    return text.join('').replace(/^\./, '') || '$';
}

/** Summarizes a value. @param {unknown} value */
export function summary(value) {
    if (Array.isArray(value)) return value.length === 0 ? '[ ]' : `[ ${value.length} ]`;
    if (isBranch(value)) {
        const names = Object.keys(value);
        const some = names.slice(0, 4).join(', ');
        return names.length === 0 ? '{ }' : `{ ${some}${names.length > 4 ? ', …' : ''} }`;
    }
    const text = value instanceof ExactNumber ? value.text : JSON.stringify(value);
    return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/**
 * Finds a text in names and values, ignoring case.
 * @param {unknown} value
 * @param {string} text
 * @param {number} limit
 * @returns {Path[]}
 */
export function find(value, text, limit) {
    const wanted = text.toLowerCase();
    /** @type {Path[]} */
    const found = [];
    /** @type {{ value: unknown, path: Path }[]} */
    const left = [{ value, path: [] }];
    for (let next = left.pop(); next && found.length < limit; next = left.pop()) {
        const { value: part, path } = next;
        const label = path[path.length - 1];
        const isNamed = typeof label === 'string' && label.toLowerCase().includes(wanted);
        if (isNamed || (!isBranch(part) && String(part).toLowerCase().includes(wanted))) found.push(path);
        if (isBranch(part)) {
            const children = childrenOf(part);
            for (let at = children.length - 1; at >= 0; at -= 1)
                left.push({ value: children[at][1], path: [...path, children[at][0]] });
        }
    }
    return found;
}
