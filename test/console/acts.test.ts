/** Acts that are left while they are under way, and acts whose answer is lost, in a real Chromium: what is told of them is what was done, once. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Page, Route } from 'playwright-core';
import { openFinding } from '../../domain/reconciliation.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';

const MANY = 12;
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'COUNTED', 10);
});
afterAll(() => api?.stop());
beforeEach(async () => {
  await api.db.reconciliationFinding.updateMany({ data: { action: 'refunded' } });
});

const dialog = (page: Page) => page.getByRole('dialog');
const onHand = async () => (await api.get<{ onHand: number }>('/inventory/COUNTED')).body.onHand;
const NOT_TWICE = /It may have been done\. Trying the same again, with the same reason, does not do it twice\./;

/** Orphan charges of EUR 1.00 each. @returns their ids, the newest first, as they are listed */
async function findings(count: number): Promise<string[]> {
  for (let n = 0; n < count; n++) {
    const charge = { reference: `pi_${randomUUID()}`, orderId: randomUUID(), amount: 100, currency: 'EUR' };
    await openFinding(api.db, 'ORPHAN_CHARGE', 'reported', charge);
  }
  const found = await api.db.reconciliationFinding.findMany({
    where: { action: 'reported' },
    orderBy: { id: 'desc' },
  });
  return found.map(({ id }) => `${id}`);
}

/** What the page sends to a path, in its order: each is answered, or not, by `meet`, which is told its number, from 1. */
async function watch(page: Page, path: string, meet: (route: Route, nth: number) => Promise<unknown>) {
  const keys: string[] = [];
  await page.route(path, async (route) => {
    await meet(route, keys.push(route.request().headers()['idempotency-key'] ?? ''));
  });
  return keys;
}
/** It arrives, and its answer does not. */
const loseAnswer = async (route: Route) => {
  await route.fetch();
  await route.abort();
};

/** Up to where the third of them is at the API. @returns how many were sent, and what lets that one go on */
async function giveBackUpToTheThird(page: Page, reason: string) {
  let goOn = () => undefined as unknown;
  const isLetGo = new Promise<void>((resolve) => (goOn = resolve));
  const keys = await watch(page, '**/admin/findings/*/refund', async (route, nth) => {
    if (nth === 3) await isLetGo;
    await route.continue();
  });
  await page.getByRole('button', { name: `Choose the ${MANY} that can be given back` }).click();
  await page.getByRole('button', { name: `Give back EUR 12.00 of ${MANY} findings …` }).click();
  await dialog(page).getByLabel('Reason').fill(reason);
  await dialog(page).getByLabel('Type EUR 12.00 to confirm').fill('EUR 12.00');
  await dialog(page).getByRole('button', { name: 'Give back EUR 12.00' }).click();
  await eventually('the third is under way', async () => keys.length === 3);
  return { keys, goOn };
}
const ordered = (reason: string) => api.db.reconciliationClosing.count({ where: { action: 'refunding', reason } });

describeWithChromium('an act on many that is left while it is under way', (open) => {
  const ways: [string, (page: Page) => Promise<unknown>][] = [
    ['by Back', (page) => page.goBack()],
    ['by its button', (page) => dialog(page).getByRole('button', { name: 'Stop' }).click()],
  ];
  test.each(ways)(
    '%s stops: the one that is under way is awaited, no other is begun, and what is told is what was done',
    async (way, leave) => {
      const reason = `lost by the restore, left ${way}`;
      await findings(MANY);
      const { page, show } = await open(api.url, { view: '/findings' });
      await show('/findings?kind=ORPHAN_CHARGE');
      const { keys, goOn } = await giveBackUpToTheThird(page, reason);
      await leave(page);
      await dialog(page).getByText('It stops: what is under way is awaited, and nothing more is begun.').waitFor();
      await expectAccessible(page);
      expect(await page.getByText(/not tried/).count()).toBe(0);
      goOn();
      await page.getByText(/^Of 12 findings: /).waitFor();
      expect(await page.getByText(/^Of 12 findings: /).innerText()).toBe(
        'Of 12 findings: 3 to be given back, 9 not tried.',
      );
      expect(await dialog(page).count()).toBe(0);
      await Promise.all([
        page.waitForResponse(/admin\/findings\?/),
        page.getByRole('button', { name: 'Read again' }).click(),
      ]);
      expect({ sent: keys.length, ordered: await ordered(reason) }).toEqual({
        sent: 3,
        ordered: 3,
      });
    },
    60_000,
  );

  test('for another view: what has come of it is told there', async () => {
    await findings(MANY);
    const { page } = await open(api.url, { view: '/findings' });
    const { keys, goOn } = await giveBackUpToTheThird(page, 'lost by the restore, ticket 2');
    await page.goto(`${api.url}/console/#/stock`);
    await page.getByRole('heading', { name: 'Stock', level: 1, includeHidden: true }).waitFor();
    goOn();
    await dialog(page).getByText('Of 12 findings: 3 to be given back, 9 not tried.').waitFor();
    await expectAccessible(page);
    await dialog(page).getByRole('button', { name: 'Close' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    expect({ sent: keys.length, ordered: await ordered('lost by the restore, ticket 2') }).toEqual({
      sent: 3,
      ordered: 3,
    });
  }, 60_000);
});

describeWithChromium('an act on many, one of which', (open) => {
  /** @returns the dialog's button, pressed */
  async function closeThree(page: Page) {
    await page.getByRole('button', { name: /^Choose the 3 that can be closed/ }).click();
    await page.getByRole('button', { name: 'Close 3 findings as cancelled …' }).click();
    await dialog(page).getByLabel('Reason').fill('compared by hand, ticket 3');
    await dialog(page).getByLabel('Type 3 to confirm').fill('3');
    const button = dialog(page).getByRole('button', { name: 'Close 3 findings as cancelled' });
    await button.click();
    return button;
  }

  test('is not answered, and which is given up then, says of that one that it may have been done', async () => {
    const ids = await findings(3);
    const { page } = await open(api.url, { view: '/findings', requestsMayFail: true });
    await watch(page, '**/admin/findings/*/close', (route, nth) => (nth === 2 ? loseAnswer(route) : route.continue()));
    await closeThree(page);
    await dialog(page).getByText(NOT_TWICE).waitFor();
    await dialog(page).getByRole('button', { name: 'Leave it' }).click();
    await page.getByText('Of 3 findings: 1 closed, 1 not answered, 1 not tried.').waitFor();
    const told = (await page.locator('.outcomes li').allInnerTexts()).join('\n');
    expect(told).toContain(`Finding ${ids[1]}: not answered: it may have been done`);
    expect(told).toContain(`Finding ${ids[2]}: not tried`);
  }, 60_000);

  test('the API still has in hand waits for it, and goes on under the same keys', async () => {
    await findings(3);
    const { page } = await open(api.url, { view: '/findings', requestsMayFail: true });
    const inUse = JSON.stringify({ status: 409, title: 'It is under way', code: 'idempotency-key-in-use' });
    const contentType = 'application/problem+json';
    const keys = await watch(page, '**/admin/findings/*/close', async (route, nth) => {
      if (nth === 1) await route.fulfill({ status: 409, contentType, body: inUse, headers: { 'retry-after': '1' } });
      else if (nth === 3) await route.fulfill({ status: 408, body: '' });
      else await route.continue();
    });
    await closeThree(page);
    await page.getByText('Of 3 findings: 3 closed.').waitFor();
    expect(keys.map((key) => keys.indexOf(key))).toEqual([0, 0, 2, 2, 4]);
  }, 60_000);
});

describeWithChromium('an act whose answer is lost', (open) => {
  async function ask(page: Page, by: number) {
    await page.getByLabel('SKU', { exact: true }).fill('COUNTED');
    await page.getByLabel('Pieces to add, with a minus to remove').fill(`${by}`);
    await page.getByRole('button', { name: 'Adjust …' }).click();
    await dialog(page).getByLabel('Reason').fill('found behind the shelf');
    await dialog(page)
      .getByRole('button', { name: `Add ${by}` })
      .click();
  }

  test('and which is still being done when it is tried again keeps its key: it is done once', async () => {
    const before = await onHand();
    const { page } = await open(api.url, { view: '/stock', requestsMayFail: true });
    const keys = await watch(page, '**/inventory/COUNTED/adjust', async (route, nth) => {
      if (nth > 1) return route.continue();
      void route.fetch().catch(() => undefined);
      await eventually('the API has it in hand', async () =>
        api.db.idempotencyKey.findFirst({ where: { key: keys[0] as string } }),
      );
      return route.abort();
    });
    await api.db.$transaction(
      async (tx) => {
        await tx.$queryRaw`SELECT FROM inventory WHERE sku = 'COUNTED' FOR UPDATE`;
        await ask(page, 7);
        await dialog(page).getByText(NOT_TWICE).waitFor();
        await dialog(page).getByRole('button', { name: 'Try again: Add 7' }).click();
        await dialog(page).getByText('It is still being done').waitFor();
        await expectAccessible(page);
      },
      { timeout: 50_000 },
    );
    await eventually('it is done', async () => (await onHand()) === before + 7);
    await dialog(page).getByRole('button', { name: 'Try again: Add 7' }).click();
    await page.getByText(`COUNTED: ${before + 7} on hand`).waitFor();
    expect({ keys: new Set(keys).size, sent: keys.length, onHand: await onHand() }).toEqual({
      ...{ keys: 1, sent: 3, onHand: before + 7 },
    });
  }, 60_000);

  test('is done once though its dialog was closed: the same again is the same act, other input another', async () => {
    const before = await onHand();
    const { page } = await open(api.url, { view: '/stock', requestsMayFail: true });
    const keys = await watch(page, '**/inventory/COUNTED/adjust', (route, nth) =>
      nth === 1 ? loseAnswer(route) : route.continue(),
    );
    await ask(page, 5);
    await dialog(page).getByText(NOT_TWICE).waitFor();
    await dialog(page).getByRole('button', { name: 'Leave it' }).click();
    await ask(page, 4);
    await page.getByText(`COUNTED: ${before + 9} on hand`).waitFor();
    await ask(page, 5);
    await page.getByText(`COUNTED: ${before + 5} on hand`).waitFor(); // as it was then
    expect({ onHand: await onHand(), keys: keys.map((key) => keys.indexOf(key)) }).toEqual({
      onHand: before + 9,
      keys: [0, 1, 0],
    });
    await ask(page, 5); // what has its answer is done: this is one more
    await page.getByText(`COUNTED: ${before + 14} on hand`).waitFor();
    expect(await onHand()).toBe(before + 14);
  }, 60_000);
});
