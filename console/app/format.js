// Figures and times, as people read them.

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/**
 * Bytes, in the largest unit of which there is at least one.
 * @param {number | null | undefined} bytes
 */
export function size(bytes) {
    if (bytes === null || bytes === undefined) return '–';
    let [amount, unit] = [bytes, 0];
    while (amount >= 1024 && unit < SIZES.length - 1) {
        amount /= 1024;
        unit += 1;
    }
    const digits = unit === 0 || amount >= 100 ? 0 : 1;
    return `${amount.toFixed(digits)} ${SIZES[unit]}`;
}

const counts = new Intl.NumberFormat('en');

/** @param {number | null | undefined} number */
export function count(number) {
    return number === null || number === undefined ? '–' : counts.format(number);
}

const moments = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/**
 * A moment, in full, in the reader's own time.
 * @param {string | null | undefined} time
 */
export function moment(time) {
    return time ? moments.format(new Date(time)) : '–';
}

/** Spans of time, the longest first: how long one is in seconds, and its name. */
const SPANS = /** @type {[number, Intl.RelativeTimeFormatUnit][]} */ ([
    [31_557_600, 'year'],
    [2_629_800, 'month'],
    [86_400, 'day'],
    [3600, 'hour'],
    [60, 'minute'],
]);

const spans = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' });

/**
 * Formats a time relative to now.
 * @param {string | null | undefined} time
 * @param {number} [now] milliseconds
 */
export function ago(time, now = Date.now()) {
    if (!time) return '–';
    const seconds = (new Date(time).getTime() - now) / 1000;
    for (const [length, unit] of SPANS) {
        if (Math.abs(seconds) >= length) return spans.format(Math.trunc(seconds / length), unit);
    }
    return seconds < 0 ? 'just now' : 'in a moment';
}

/**
 * A retention, in words.
 * @param {number} days
 */
export function retention(days) {
    if (days >= 1) return `${Number(days.toFixed(2))} ${days === 1 ? 'day' : 'days'}`;
    const hours = days * 24;
    if (hours >= 1) return `${Number(hours.toFixed(1))} hours`;
    const seconds = Math.round(days * 86_400);
    return seconds >= 120 ? `${Number((seconds / 60).toFixed(1))} minutes` : `${seconds} seconds`;
}

/**
 * "1 store", "2 stores".
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function counted(number, one, many = `${one}s`) {
    return `${count(number)} ${number === 1 ? one : many}`;
}

/**
 * Formats a duration, until now if it has no end.
 * @param {string} from
 * @param {string | null | undefined} to
 */
export function span(from, to) {
    const seconds = ((to ? new Date(to).getTime() : Date.now()) - new Date(from).getTime()) / 1000;
    if (seconds < 60) return `${Math.max(0, seconds).toFixed(seconds < 10 ? 1 : 0)} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * Formats a price: with cents, or with significant digits below one cent.
 * @param {number} amount
 * @param {string} currency
 */
export function cost(amount, currency) {
    const digits = amount === 0 || amount >= 1 ? 2 : Math.min(12, 1 - Math.floor(Math.log10(amount)));
    return `${amount.toFixed(Math.max(2, digits))} ${currency}`;
}
