// Where the gateway is: below a path, if a proxy serves it there.

/** What all paths of the gateway begin with, without a slash at the end. The console's modules are at `/console/app/` there. */
export const ROOT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');

/**
 * A path of the gateway, as this page reaches it.
 * @param {string} path
 */
export function within(path) {
    return `${ROOT}${path}`;
}
