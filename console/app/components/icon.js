// Pictures for buttons and lists: strokes on a 20 x 20 square, in the colour of the text around them.

import { html } from '../view.js';

const SHAPES = {
    store: 'M3 17h14M5 14V8l1-1.500h3L10 8v6zM5.500 4.500h4M12 14v-4l1-1.500h2L16 10v4zM12.500 6.500h3',
    run: 'M6 4l10 6-10 6z',
    key: 'M12.500 3.500a4 4 0 1 1-3.700 5.500L3 14.800V17h3v-2h2v-2h2l1-1.400',
    people: 'M7.500 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 17c0-3 2.500-5 5.500-5s5.500 2 5.500 5M13 4a3 3 0 0 1 0 5.500M14.500 12.300c2 .6 3.500 2.400 3.500 4.700',
    plus: 'M10 4v12M4 10h12',
    trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10.500h6.600L14 6M8.500 9v5M11.500 9v5',
    copy: 'M7 7V3.500h9.500V13H13M3.500 7H13v9.500H3.500z',
    check: 'M4 10.500l4 4 8-9',
    cross: 'M5 5l10 10M15 5L5 15',
    search: 'M9 14.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11zM13 13l4 4',
    upload: 'M10 13V4M6 7.500L10 3.500l4 4M4 13v3.500h12V13',
    download: 'M10 3.500V13M6 9.500l4 4 4-4M4 13v3.500h12V13',
    link: 'M8.500 11.500l3-3M7 9.500l-2.200 2.200a2.900 2.900 0 0 0 4 4L11 13.500M9 6.500l2.200-2.200a2.900 2.900 0 0 1 4 4L13 10.500',
    edit: 'M4 16l.8-3.300L13.500 4l2.500 2.500-8.700 8.700zM12 5.500L14.500 8',
    left: 'M12.500 4.500L7 10l5.500 5.500',
    right: 'M7.500 4.500L13 10l-5.500 5.500',
    down: 'M4.500 7.500L10 13l5.500-5.500',
    sun: 'M10 13.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.300 4.300l1.100 1.100M14.600 14.600l1.100 1.100M4.300 15.700l1.100-1.100M14.600 5.400l1.100-1.100',
    moon: 'M16 12A6.500 6.500 0 0 1 8 4a6.500 6.500 0 1 0 8 8z',
    out: 'M8 4H4v12h4M8 10h9M13.500 6.500L17 10l-3.500 3.500',
    refresh: 'M16 6.500A7 7 0 1 0 17 10M16.500 3v4h-4',
    file: 'M5 3h6.500L15 6.500V17H5zM11.500 3v3.500H15',
    image: 'M3.500 4h13v12h-13zM3.500 13l3.500-3.500 3 3 2.500-2.500 4 4M12.500 7.500h.1',
    gallery:
        'M3.500 3.500h5.500v5.500h-5.500zM11 3.500h5.500v5.500H11zM3.500 11h5.500v5.500h-5.500zM11 11h5.500v5.500H11z',
    expand: 'M12 3.500h4.500V8M8 16.500H3.500V12M16.500 3.500l-5 5M3.500 16.500l5-5',
    clock: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 6v4l3 2',
    warning: 'M10 3l7.500 13.500h-15zM10 8v4M10 14.200v.1',
};

/** @typedef {keyof typeof SHAPES} IconName */

/**
 * A picture that says nothing by itself: the words beside it, or the label of its button, do.
 * @param {{ name: IconName }} props
 */
export function Icon({ name }) {
    return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
        <path d=${SHAPES[name]} />
    </svg>`;
}
