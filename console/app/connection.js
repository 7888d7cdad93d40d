// State of the connection to the gateway. While it is lost, pages keep their content; they reload when it is back.

import { within } from './root.js';
import { signal } from './signal.js';

/** Delay between connection checks: initial and maximum (milliseconds). */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 10_000;

/** @type {import('./signal.js').Signal<'here' | 'away'>} */
export const connection = signal(/** @type {'here' | 'away'} */ ('here'));

/** Is told when a request got no answer at all. Asks until there is one again. */
export function lost() {
    if (connection.get() === 'away') return;
    connection.set('away');
    void ask(FIRST_WAIT);
}

/** @param {number} wait */
async function ask(wait) {
    await new Promise((resolve) => {
        setTimeout(resolve, wait);
    });
    try {
        const answer = await fetch(within('/health/live'), { cache: 'no-store' });
        if (answer.ok) {
            connection.set('here');
            return;
        }
    } catch {
        // Still away.
    }
    await ask(Math.min(wait * 2, LONGEST_WAIT));
}
