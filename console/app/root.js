// The base path of the gateway: not empty if a proxy serves it below a path.

/** Prefix of all paths of the gateway, without a trailing slash. The modules are at `/console/app/` below it. */
export const ROOT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');

/**
 * A path of the gateway, as this page reaches it.
 * @param {string} path
 */
export function within(path) {
    return `${ROOT}${path}`;
}
