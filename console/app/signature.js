// Signatures of links, made in the browser as the gateway and `@apify/utilities` make them (src/auth/signature.rs).

/** Digits of base 62, in the order of `@apify/utilities`. */
const BASE62 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Version of the signatures of a store's content. */
const CONTENT_VERSION = 0;

/** Bytes of the HMAC that count. */
const MAC_BYTES = 15;

/**
 * The signature of a link to a store's keys, and to the ZIP file of its records.
 * @param {string} secret
 * @param {string} id
 * @param {number | null} [end] milliseconds since 1970; `null`: never
 */
export async function keysSignature(secret, id, end = null) {
    const millis = end ?? 0;
    const mac = await hmac62(secret, `${CONTENT_VERSION}.${millis}.${id}`);
    // All of it is ASCII.
    return btoa(`${CONTENT_VERSION}.${millis}.${mac}`).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/**
 * The first 120 bits of the HMAC-SHA256 of `message`, in base 62: of a key, the signature of a link to that record.
 * @param {string} secret
 * @param {string} message
 */
export async function hmac62(secret, message) {
    // Browsers have it only on pages over HTTPS, and on those of this machine.
    if (!globalThis.crypto?.subtle) throw new Error('The browser signs links only on pages over HTTPS.');
    const encoder = new TextEncoder();
    const how = { name: 'HMAC', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('raw', encoder.encode(secret), how, false, ['sign']);
    const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(message)));
    let number = mac.subarray(0, MAC_BYTES).reduce((all, byte) => (all << 8n) | BigInt(byte), 0n);
    let digits = '';
    do {
        digits = BASE62[Number(number % 62n)] + digits;
        number /= 62n;
    } while (number > 0n);
    return digits;
}
