// Small files of every kind, made here.

import { crc32, deflateSync } from 'node:zlib';

/** A PNG of one colour. */
export function png(width, height, [red, green, blue] = [31, 95, 74]) {
    const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(width * 3, Buffer.from([red, green, blue]))]);
    const chunk = (name, data) => {
        const named = Buffer.concat([Buffer.from(name, 'latin1'), data]);
        const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
        length.writeUInt32BE(data.length);
        sum.writeUInt32BE(crc32(named));
        return Buffer.concat([length, named, sum]);
    };
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2, 0, 0, 0], 8);
    const data = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
    return Buffer.concat([
        Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
        chunk('IHDR', head),
        chunk('IDAT', data),
        chunk('IEND', Buffer.alloc(0)),
    ]);
}

/** A PDF, with a line of text on each page. */
export function pdf(lines) {
    const pages = lines.map((_, at) => `${4 + 2 * at} 0 R`).join(' ');
    const objects = [
        '<< /Type /Catalog /Pages 2 0 R >>',
        `<< /Type /Pages /Kids [${pages}] /Count ${lines.length} >>`,
        '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    ];
    lines.forEach((line, at) => {
        const content = `BT /F1 28 Tf 40 120 Td (${line}) Tj ET`;
        objects.push(
            `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents ${5 + 2 * at} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`,
        );
        objects.push(`<< /Length ${content.length} >>\nstream\n${content}\nendstream`);
    });
    let text = '%PDF-1.4\n';
    const places = objects.map((object, at) => {
        const place = text.length;
        text += `${at + 1} 0 obj\n${object}\nendobj\n`;
        return place;
    });
    const table = text.length;
    const rows = places.map((place) => `${String(place).padStart(10, '0')} 00000 n \n`).join('');
    return `${text}xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${table}\n%%EOF\n`;
}

/** Some seconds of a tone. */
export function wav(seconds) {
    const rate = 8000;
    const data = Buffer.alloc(rate * seconds);
    for (let at = 0; at < data.length; at += 1)
        data[at] = 128 + Math.round(60 * Math.sin((at * 440 * 2 * Math.PI) / rate));
    const head = Buffer.alloc(44);
    head.write('RIFF', 0, 'latin1');
    head.writeUInt32LE(36 + data.length, 4);
    head.write('WAVEfmt ', 8, 'latin1');
    head.writeUInt32LE(16, 16);
    head.writeUInt16LE(1, 20);
    head.writeUInt16LE(1, 22);
    head.writeUInt32LE(rate, 24);
    head.writeUInt32LE(rate, 28);
    head.writeUInt16LE(1, 32);
    head.writeUInt16LE(8, 34);
    head.write('data', 36, 'latin1');
    head.writeUInt32LE(data.length, 40);
    return Buffer.concat([head, data]);
}

/** A second of film, made by the browser of a page. */
export async function webm(page) {
    const bytes = await page.evaluate(async () => {
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [160, 90];
        const paint = canvas.getContext('2d');
        const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: 'video/webm' });
        const pieces = [];
        recorder.ondataavailable = ({ data }) => pieces.push(data);
        const over = new Promise((resolve) => {
            recorder.onstop = resolve;
        });
        recorder.start();
        for (let frame = 0; frame < 20; frame += 1) {
            paint.fillStyle = `hsl(${frame * 18} 60% 50%)`;
            paint.fillRect(0, 0, 160, 90);
            await new Promise((resolve) => {
                setTimeout(resolve, 50);
            });
        }
        recorder.stop();
        await over;
        return [...new Uint8Array(await new Blob(pieces).arrayBuffer())];
    });
    return Buffer.from(bytes);
}
