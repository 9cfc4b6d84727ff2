/**
 * What changes by itself on the console: paused, cut off, going on with the next API, and without growing. FULL=1: memory is watched for an
 * hour, or for CONSOLE_MINUTES.
 */
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { describeWithChromium } from './support/chromium.js';
import { growth, type Measured, measure } from './support/footprint.js';
import { picture } from './support/pictures.js';
import { type ConsoleStack, startConsoleStack } from './support/stack.js';
import { addressesOfViews } from './support/views.js';

const MINUTE_MS = 60_000;
const WATCHED_MS = (process.env['FULL'] === '1' ? Number(process.env['CONSOLE_MINUTES'] ?? 60) : 0.2) * MINUTE_MS;
/** Of the heap. Within seconds the engine still compiles and learns, by a tenth at times: then nodes and listeners tell more than bytes. */
const GROWTH_MAX = process.env['FULL'] === '1' ? 0.05 : 0.25;
const SAMPLES = process.env['FULL'] === '1' ? 60 : 6;

let s: ConsoleStack;
beforeAll(async () => {
  s = await startConsoleStack();
});
afterAll(() => s?.stopAll(), 10 * MINUTE_MS);

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
      const tried = page.waitForRequest(/\/admin\/overview/, { timeout: 5_000 }); // as a rule sooner than by itself
      await page.getByRole('button', { name: 'Try now' }).click();
      await tried;
      next = await s.startApi({ port: own.port });
      await page.locator('.as-of .status.good').waitFor();
      await page.getByText(/Stale/).waitFor({ state: 'detached' });
    } finally {
      await own.stop();
      await next?.stop();
    }
  });

  test(
    'holds no more memory the longer it is watched, nor does a page that goes through every view, while orders flow',
    async () => {
      const { page: watched } = await open(s.api.url);
      const { page: walking, show } = await open(s.api.url, { view: '/about' });
      const views = await addressesOfViews(walking, await something());
      const round = async () => {
        for (const view of [...views, '/about']) await show(view);
      };
      await round();
      await flowing(async () => {
        await watched.getByText('All is calm').waitFor();
        const pages = { watched: await measure(watched), walking: await measure(walking) };
        const begin = performance.now();
        for (let taken = 0; taken < SAMPLES; taken++) {
          await round();
          await updates(watched, begin + (WATCHED_MS * (taken + 1)) / SAMPLES);
          await Promise.all(Object.values(pages).map(({ sample }) => sample()));
          process.stderr.write(told(begin, pages));
        }
        for (const { samples } of Object.values(pages)) {
          const grown = growth(samples);
          const [{ JSHeapUsedSize = 0 } = {}] = samples;
          expect(grown.JSHeapUsedSize).toBeLessThan(JSHeapUsedSize * GROWTH_MAX);
          // Of a cause that comes meanwhile; what stays of each update, or of each view, would be more.
          expect(grown.Nodes).toBeLessThan(100);
          expect(grown.JSEventListeners).toBeLessThan(10);
        }
      });
    },
    WATCHED_MS + 5 * MINUTE_MS,
  );
});

/** For the views that are of one thing. */
async function something(): Promise<Record<string, string>> {
  const placed = await s.api.place();
  const preview = await s.api.send<{ id: string }>('POST', '/admin/operations/preview', {
    ...{ action: 'retry', orderIds: [placed.body.id] },
  });
  const erasure = await s.api.send<{ id: string }>('POST', '/admin/customers/cus_nobody/erase', { reason: 'ticket 1' });
  return {
    '/orders/:id': placed.body.id,
    '/operations/:id': preview.body.id,
    '/erasures/:id': erasure.body.id,
    '/runbook/:section': 'x',
  };
}

/** At most two orders a second, each when the one before has come to its end, for as long as `act` takes. */
async function flowing(act: () => Promise<void>): Promise<void> {
  let isOver = false;
  const placing = (async () => {
    while (!isOver) await Promise.all([s.api.place({}, { prefer: 'wait=25' }), setTimeout(500)]);
  })();
  try {
    await act();
  } finally {
    isOver = true;
    await placing;
  }
}

/** Until then, and until the page has had one more update at least. */
async function updates(page: Page, untilMs: number): Promise<void> {
  const asOf = () => page.locator('.as-of').innerText();
  const before = await asOf();
  await eventually(
    'the page is as of later',
    async () => (await asOf()) !== before && performance.now() >= untilMs,
    MINUTE_MS * 3,
  );
}

const told = (begin: number, pages: Record<string, Measured>) =>
  Object.entries(pages)
    .map(([name, { samples }]) => {
      const { JSHeapUsedSize = 0, Nodes = 0, JSEventListeners = 0 } = samples.at(-1) ?? {};
      const minutes = ((performance.now() - begin) / MINUTE_MS).toFixed(1);
      return `${minutes} min, ${name}: ${(JSHeapUsedSize / 1e6).toFixed(2)} MB, ${Nodes} nodes, ${JSEventListeners} listeners\n`;
    })
    .join('');
