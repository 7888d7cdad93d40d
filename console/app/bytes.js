// The beginning of an answer's body: no more is taken from the network than is looked at.

/**
 * @typedef {{ bytes: Uint8Array<ArrayBuffer>, isWhole: boolean }} Beginning
 */

/**
 * Takes up to `limit` bytes, and ends the rest.
 * @param {Response} answer
 * @param {number} limit
 * @returns {Promise<Beginning>}
 */
export async function beginning(answer, limit) {
    const reader = answer.body?.getReader();
    if (!reader) return { bytes: new Uint8Array(0), isWhole: true };
    /** @type {Uint8Array[]} */
    const pieces = [];
    let taken = 0;
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return { bytes: joined(pieces, taken), isWhole: true };
        pieces.push(value);
        taken += value.length;
        if (taken > limit) {
            await reader.cancel();
            return { bytes: joined(pieces, taken).subarray(0, limit), isWhole: false };
        }
    }
}

/** @param {Uint8Array[]} pieces @param {number} length */
function joined(pieces, length) {
    const all = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
        all.set(piece, at);
        at += piece.length;
    }
    return all;
}

/** Bytes in a row of the dump. */
const ROW = 16;

/**
 * Bytes as a dump: where they stand, in hexadecimal, and as ASCII.
 * @param {Uint8Array} bytes
 */
export function dump(bytes) {
    const rows = [];
    for (let at = 0; at < bytes.length; at += ROW) {
        const row = [...bytes.subarray(at, at + ROW)];
        const hex = row.map((byte) => byte.toString(16).padStart(2, '0'));
        const halves = [hex.slice(0, ROW / 2).join(' '), hex.slice(ROW / 2).join(' ')].join('  ');
        const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
        rows.push(`${at.toString(16).padStart(8, '0')}  ${halves.padEnd(ROW * 3)}  ${text}`);
    }
    return rows.join('\n');
}
