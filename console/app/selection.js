// Selected rows of a table.

import { useMemo, useState } from './view.js';

/**
 * @typedef {object} Selection
 * @property {ReadonlySet<string>} chosen
 * @property {(id: string, isChosen: boolean) => void} choose
 * @property {(ids: string[]) => void} only exactly these
 */

/**
 * A choice among rows. Rows that are not shown any more are not chosen either.
 * @param {string[]} shown
 * @returns {Selection}
 */
export function useSelection(shown) {
    const [ids, setIds] = useState(/** @type {string[]} */ ([]));
    const chosen = useMemo(() => {
        const known = new Set(shown);
        return new Set(ids.filter((/** @type {string} */ id) => known.has(id)));
    }, [ids, shown]);
    return {
        chosen,
        choose: (id, isChosen) => setIds(isChosen ? [...chosen, id] : [...chosen].filter((other) => other !== id)),
        only: setIds,
    };
}
