// Media types: what a file's is by its name, and how a record of one is best looked at.

/** Types by the endings of files. */
const BY_ENDING = /** @type {Record<string, string>} */ ({
    aac: 'audio/aac',
    avif: 'image/avif',
    bmp: 'image/bmp',
    css: 'text/css; charset=utf-8',
    csv: 'text/csv; charset=utf-8',
    flac: 'audio/flac',
    gif: 'image/gif',
    gz: 'application/gzip',
    htm: 'text/html; charset=utf-8',
    html: 'text/html; charset=utf-8',
    ico: 'image/x-icon',
    jpeg: 'image/jpeg',
    jpg: 'image/jpeg',
    js: 'text/javascript; charset=utf-8',
    json: 'application/json; charset=utf-8',
    jsonl: 'application/x-ndjson; charset=utf-8',
    log: 'text/plain; charset=utf-8',
    m4a: 'audio/mp4',
    md: 'text/markdown; charset=utf-8',
    mjs: 'text/javascript; charset=utf-8',
    mov: 'video/quicktime',
    mp3: 'audio/mpeg',
    mp4: 'video/mp4',
    ndjson: 'application/x-ndjson; charset=utf-8',
    oga: 'audio/ogg',
    ogg: 'audio/ogg',
    ogv: 'video/ogg',
    opus: 'audio/ogg',
    pdf: 'application/pdf',
    png: 'image/png',
    py: 'text/x-python; charset=utf-8',
    rss: 'application/rss+xml; charset=utf-8',
    svg: 'image/svg+xml',
    tif: 'image/tiff',
    tiff: 'image/tiff',
    ts: 'text/plain; charset=utf-8',
    tsv: 'text/tab-separated-values; charset=utf-8',
    txt: 'text/plain; charset=utf-8',
    wasm: 'application/wasm',
    wav: 'audio/wav',
    weba: 'audio/webm',
    webm: 'video/webm',
    webp: 'image/webp',
    xhtml: 'application/xhtml+xml; charset=utf-8',
    xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    xml: 'application/xml; charset=utf-8',
    yaml: 'application/yaml; charset=utf-8',
    yml: 'application/yaml; charset=utf-8',
    zip: 'application/zip',
});

/** The type of what has none. */
export const UNKNOWN = 'application/octet-stream';

/**
 * The media type of a file: by its ending, else as the browser says.
 * @param {{ name: string, type: string }} file
 */
export function typeOf({ name, type }) {
    const ending = name.includes('.') ? name.slice(name.lastIndexOf('.') + 1).toLowerCase() : '';
    return BY_ENDING[ending] ?? (type || UNKNOWN);
}

/** @typedef {'json' | 'html' | 'image' | 'pdf' | 'audio' | 'video' | 'text' | 'binary'} Kind */

/** A media type without its parameters. @param {string} type */
export function essence(type) {
    return type.split(';')[0].trim().toLowerCase();
}

/**
 * Returns the viewer kind of a media type.
 * @param {string} type
 * @returns {Kind}
 */
export function kindOf(type) {
    const name = essence(type);
    if (name === 'application/json' || name.endsWith('+json')) return 'json';
    if (name === 'text/html' || name === 'application/xhtml+xml') return 'html';
    if (name === 'application/pdf') return 'pdf';
    if (/^image\/(png|jpe?g|gif|webp|avif|svg\+xml|bmp|apng|x-icon|vnd\.microsoft\.icon)$/.test(name)) return 'image';
    if (name.startsWith('audio/')) return 'audio';
    if (name.startsWith('video/')) return 'video';
    const isText = /^application\/(xml|javascript|x-javascript|yaml|x-yaml|x-ndjson|sql|toml|graphql|x-sh)$/.test(name);
    return name.startsWith('text/') || name.endsWith('+xml') || isText ? 'text' : 'binary';
}

/** Returns whether records of a kind can be edited as text. @param {Kind} kind @param {string} type */
export function isEditable(kind, type) {
    return kind === 'json' || kind === 'text' || kind === 'html' || essence(type) === 'image/svg+xml';
}

/** The charset that a media type names; UTF-8 where it names none. @param {string} type */
export function charsetOf(type) {
    const charset = /;\s*charset="?([^";\s]+)/i.exec(type)?.[1] ?? 'utf-8';
    try {
        return new TextDecoder(charset).encoding;
    } catch {
        return 'utf-8';
    }
}

/**
 * A key for a file: its name, with a hyphen for whatever no key can have.
 * @param {string} name
 */
export function keyFor(name) {
    return (
        name
            .normalize('NFC')
            .replace(/[^a-zA-Z0-9!\-_.'()]/g, '-')
            .slice(0, 256) || 'file'
    );
}
