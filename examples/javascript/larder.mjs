// Client for Larder, configured by LARDER_URL and LARDER_TOKEN, as in all examples.

import { ApifyClient } from 'apify-client';

const { LARDER_URL: url = 'http://127.0.0.1:8011', LARDER_TOKEN: token } = process.env;

if (!token) {
    console.error('LARDER_TOKEN is not set: it is what Larder printed at its first start');
    process.exit(2);
}

// Both addresses: links are made with the public one.
export const larder = new ApifyClient({ baseUrl: url, publicBaseUrl: url, token });
