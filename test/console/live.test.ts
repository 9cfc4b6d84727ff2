/** What changes by itself on the console: paused, cut off, and going on with the next API. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { describeWithChromium } from './support/chromium.js';
import { picture } from './support/pictures.js';
import { type ConsoleStack, startConsoleStack } from './support/stack.js';

let s: ConsoleStack;
beforeAll(async () => {
  s = await startConsoleStack();
});
afterAll(() => s?.stopAll());

/** As of `npm start`; its launcher answers as long as the API does. @param asked is told of each time */
async function withButtons(page: Page, asked: string[]): Promise<void> {
  await page.route('**/console/config.json', (route) =>
    route.fulfill({ json: { authentication: 'none', demo: true } }),
  );
  await page.route('**/demo', async (route) => {
    asked.push(route.request().url());
    const isThere = await route.fetch().then(
      () => true,
      () => false,
    );
    await (isThere ? route.fulfill({ json: { buttons: [], faults: [], told: [] } }) : route.abort());
  });
}

describeWithChromium('a live view', (open) => {
  test('stands still while it is paused, and says so', async () => {
    const { page } = await open(s.api.url);
    await page.getByText('All is calm').waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    const paused = page.getByText(/Paused\. As of/);
    await paused.waitFor();
    await s.api.send('POST', '/admin/brakes/accepting/engage', { reason: 'stock is being counted' });
    const other = await open(s.api.url);
    await other.page.getByRole('row', { name: /No orders are accepted/ }).waitFor();
    expect(await page.getByRole('row', { name: /No orders are accepted/ }).count()).toBe(0);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('row', { name: /No orders are accepted/ }).waitFor();
    await s.api.send('POST', '/admin/brakes/accepting/release', { reason: 'counted' });
    await page.getByText('All is calm').waitFor();
  });

  test('keeps what was known when the API dies, says that it is old, and goes on with the next one', async () => {
    const own = await s.startApi();
    let next: TestApi | undefined;
    try {
      const asked: string[] = [];
      const { page } = await open(own.url, { requestsMayFail: true, before: (fresh) => withButtons(fresh, asked) });
      await page.getByText('All is calm').waitFor();
      await eventually('the buttons are asked for each second', () => asked.length > 2);
      await own.stop();
      const before = asked.length;
      await page.getByText(/trying again in/).waitFor();
      await page.getByText(/Stale: this is not what is now/).waitFor({ timeout: 25_000 });
      await page.getByText('All is calm').waitFor();
      expect(asked.length - before).toBeLessThan(8); // of some 15 s: less often each time
      await picture(page, 'now-stale');
      next = await s.startApi({ port: own.port });
      await page.getByRole('button', { name: 'Try now' }).click();
      await page.locator('.as-of .status.good').waitFor();
      await page.getByText(/Stale/).waitFor({ state: 'detached' });
    } finally {
      await own.stop();
      await next?.stop();
    }
  });
});
