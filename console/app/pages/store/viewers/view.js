// Selects the viewer for a media type.

import { html } from '../../../view.js';
import { Binary } from './binary.js';
import { HtmlView } from './html_view.js';
import { ImageView } from './image.js';
import { JsonView } from './json.js';
import { Media } from './media.js';
import { Pdf } from './pdf.js';
import { TextView } from './text.js';

/** @param {import('./signed.js').Looked & { kind: import('../../../media.js').Kind }} props */
export function View({ kind, ...looked }) {
    switch (kind) {
        case 'json':
            return html`<${JsonView} ...${looked} />`;
        case 'html':
            return html`<${HtmlView} ...${looked} />`;
        case 'image':
            return html`<${ImageView} ...${looked} />`;
        case 'pdf':
            return html`<${Pdf} ...${looked} />`;
        case 'audio':
        case 'video':
            return html`<${Media} kind=${kind} ...${looked} />`;
        case 'text':
            return html`<${TextView} ...${looked} />`;
        case 'binary':
            return html`<${Binary} ...${looked} />`;
        default:
            return null;
    }
}
