// Templates (htm) over Preact, and its hooks. The only module that imports the vendored files.

import htm from '../vendor/htm.js';
import { Fragment, h, render } from '../vendor/preact.js';

/**
 * A piece of a page. Templates are checked when they are shown, so their type says no more than that they are one.
 * @typedef {any} View
 */

/** @type {(strings: TemplateStringsArray, ...values: any[]) => View} */
export const html = htm.bind(h);

export { Fragment, render };
export {
    useCallback,
    useEffect,
    useId,
    useLayoutEffect,
    useMemo,
    useReducer,
    useRef,
    useState,
} from '../vendor/hooks.js';
