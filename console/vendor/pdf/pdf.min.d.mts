// What the console uses of pdf.js.

export const GlobalWorkerOptions: { workerSrc: string };
export function getDocument(settings: object): any;
