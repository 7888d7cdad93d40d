// Runs of actors.

import assert from 'node:assert/strict';

export const runs = {
    async 'runs are listed, found by actor and status, and show input and output'(world) {
        await world.open('/runs');
        const { page } = world;
        await page.getByRole('heading', { name: 'No runs yet' }).waitFor();
        await world.accessible();
        const run = await world.api('POST', '/v2/acts/baker/runs', { flour: 500 });
        await world.api('POST', '/v2/acts/miller/runs', {});
        await world.api('PUT', `/v2/key-value-stores/${run.defaultKeyValueStoreId}/records/OUTPUT`, { loaves: 2 });
        await world.api('POST', `/larder/v1/runs/${run.id}/finish`, { exitCode: 0 });
        await page.getByRole('button', { name: 'Refresh' }).click();
        await page.getByRole('link', { name: run.id }).waitFor();
        await world.accessible();
        assert.equal(await page.getByRole('row').count(), 3);
        await page.getByLabel('Status').selectOption('Succeeded');
        await page.getByText('1–1 of 1 run').waitFor();
        await page.getByLabel('Status').selectOption('Any status');
        await page.getByLabel('Runs of one actor').fill('miller');
        await page.getByRole('link', { name: run.id }).waitFor({ state: 'detached' });
        await page.getByLabel('Runs of one actor').fill('baker');
        await page.getByRole('link', { name: run.id }).click();
        await page.getByRole('heading', { name: `Run ${run.id}` }).waitFor();
        await page.getByText('succeeded').waitFor();
        await page.getByLabel('Input').getByText('"flour": 500').waitFor();
        await page.getByLabel('Output').getByText('"loaves": 2').waitFor();
        await page.getByRole('heading', { name: 'Usage' }).waitFor();
        await page.getByText(/[1-9]\d* object calls of class A/).waitFor();
        await world.accessible();
        await page.getByRole('link', { name: 'Open the record' }).first().click();
        await page.getByRole('heading', { name: 'INPUT' }).waitFor();
        await page.getByRole('tree').waitFor();
    },

    async 'a run that goes on is watched, and aborted'(world) {
        const run = await world.api('POST', '/v2/acts/baker/runs');
        world.expects(404);
        await world.open(`/runs/${run.id}`);
        const { page } = world;
        await page.getByText('ready', { exact: true }).waitFor();
        await page.getByText('None.').first().waitFor();
        await world.api('POST', `/larder/v1/runs/${run.id}/heartbeat`);
        await world.api('PUT', `/v2/actor-runs/${run.id}`, { statusMessage: 'Kneading' });
        await page.getByText('Kneading').waitFor();
        await page.getByRole('button', { name: 'Abort' }).click();
        await page.getByRole('dialog').getByRole('button', { name: 'Abort' }).click();
        await page
            .getByText(/abort(ed|ing)/)
            .first()
            .waitFor();
        assert.match((await world.api('GET', `/v2/actor-runs/${run.id}`)).status, /^ABORT/);
    },

    async 'a run that is not there says so'(world) {
        world.expects(404);
        await world.open('/runs/abcdefghijklmnopq');
        await world.page.getByRole('alert').waitFor();
        await world.accessible();
    },
};
