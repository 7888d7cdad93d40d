// JSON as it was written, also where the language would make something else of it.

/** A number as it is written: the language's own would be another one, as with ids of twenty digits. */
export class ExactNumber {
    /** @param {string} text */
    constructor(text) {
        this.text = text;
    }

    toString() {
        return this.text;
    }

    /** As it is written, where the browser can say so (https://tc39.es/proposal-json-parse-with-source). */
    toJSON() {
        const json = /** @type {{ rawJSON?: (text: string) => unknown }} */ (JSON);
        return json.rawJSON ? json.rawJSON(this.text) : Number(this.text);
    }
}

/**
 * A JSON text as a value, with numbers that cannot be had exactly as they are written.
 * @param {string} text
 * @returns {unknown}
 */
export function parseExactly(text) {
    /** @param {string} _ @param {unknown} value @param {{ source?: string }} [context] of browsers that tell what stood there */
    const exact = (_, value, context) => {
        if (typeof value !== 'number' || context?.source === undefined || Number.isSafeInteger(value)) return value;
        const isLong = /^-?\d{16,}$/.test(context.source);
        return isLong || !Number.isFinite(value) ? new ExactNumber(context.source) : value;
    };
    return JSON.parse(text, exact);
}

/**
 * A JSON text, indented.
 * @param {string} text
 */
export function indented(text) {
    try {
        return JSON.stringify(parseExactly(text), null, 2);
    } catch {
        return text;
    }
}
