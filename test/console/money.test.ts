/** Findings and stock in a real Chromium, on ledgers that really differ. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { reserveInventory } from '../../domain/inventory.js';
import { openFinding } from '../../domain/reconciliation.js';
import { openLedgers, type TestLedgers } from '../reconciliation/support.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { asAuditor } from './support/roles.js';

let books: TestLedgers;
let api: TestApi;
beforeAll(async () => {
  books = await openLedgers();
  api = await startTestApi({ db: books.db, databaseUrl: books.databaseUrl });
  await stock(books.db, 'COUNTED', 10);
});
afterAll(async () => {
  await api.stop();
  await books.stop();
});

const dialog = (page: Page) => page.getByRole('dialog');
const charge = { reference: `pi_${randomUUID()}`, orderId: randomUUID(), amount: 123_450, currency: 'EUR' };

describeWithChromium('findings', (open) => {
  test('are shown with their money, one is closed for a reason, another’s charge given back by typing how many', async () => {
    const { order, reference } = await books.confirmed();
    await books.byHand(reference);
    await books.reconcile();
    await openFinding(books.db, 'DOUBLE_CHARGE', 'reported', charge);
    const { page } = await open(api.url, { view: '/findings' });
    await page.getByRole('region', { name: 'Findings by cause' }).getByText('EUR 1,234.50').waitFor();
    await page.getByText('REFUNDED_AT_GATEWAY').first().waitFor();
    await expectAccessible(page);

    await page
      .getByRole('button', { name: /^Close as cancelled: finding \d+$/ })
      .last()
      .click();
    await dialog(page).getByLabel('Reason').fill('charged anew, ticket 12');
    await dialog(page).getByRole('button', { name: 'Close it as cancelled' }).click();
    await page.getByText(/^Finding \d+: Settled\.$/).waitFor();
    expect(await books.db.reconciliationFinding.findMany({ where: { orderId: order.id } })).toMatchObject([
      { action: 'cancelled' },
    ]);

    await page.getByRole('button', { name: /^Give back EUR 1,234.50: finding/ }).click();
    await dialog(page).getByText('with EUR 1,234.50 at stake').waitFor();
    await expectAccessible(page);
    await dialog(page).getByLabel('Reason').fill('the card is good again');
    await dialog(page).getByRole('button', { name: 'Give back EUR 1,234.50' }).click({ force: true });
    expect(
      await books.db.reconciliationFinding.findMany({
        where: charge.reference ? { gatewayReference: charge.reference } : {},
      }),
    ).toMatchObject([{ action: 'reported' }]);
    await dialog(page).getByLabel('Type EUR 1,234.50 to confirm').fill('eur 1234.50');
    await dialog(page).getByRole('button', { name: 'Give back EUR 1,234.50' }).click();
    await page.getByText('In hand: refunding').first().waitFor();
    expect(await books.db.reconciliationClosing.findMany({ where: { action: 'refunding' } })).toMatchObject([
      { reason: 'the card is good again' },
    ]);
  }, 60_000);

  test('many are closed with one reason: each has its outcome, and what was settled meanwhile stops nothing', async () => {
    await books.db.reconciliationFinding.updateMany({ data: { action: 'refunded' } });
    const kinds = ['MISSING_CHARGE', 'MISSING_CHARGE', 'MISSING_CHARGE', 'AMOUNT_MISMATCH'] as const;
    for (const kind of kinds)
      await openFinding(books.db, kind, 'reported', {
        ...charge,
        reference: `pi_${randomUUID()}`,
        orderId: randomUUID(),
      });
    await books.db.$executeRaw`
      INSERT INTO reconciliation_findings (kind, gateway_reference, order_id, amount, currency, action)
      VALUES ('MISSING_CHARGE', 'pi_none', 'nobody', 4200, '', 'reported')`;
    const ids = (
      await books.db.reconciliationFinding.findMany({ where: { action: 'reported' }, orderBy: { id: 'asc' } })
    ).map(({ id }) => `${id}`);
    const { page } = await open(api.url, { view: '/findings', requestsMayFail: true });
    const causes = page.getByRole('region', { name: 'Findings by cause' });
    await causes.getByRole('row', { name: /MISSING_CHARGE .* 4 .*EUR 3,703.50.*4,200 of no currency/ }).waitFor();
    await page.getByText('5 findings shown; there are no more.').waitFor();
    for (const id of [ids[0], ids[1], ids[4]]) await page.getByLabel(`Choose finding ${id}`).check();
    await page.getByText('3 findings chosen, EUR 2,469.00').waitFor();
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Close 3 findings as cancelled …' }).click();
    await dialog(page).getByText('with EUR 2,469.00 at stake').waitFor();
    await dialog(page).getByText('Of 1 no currency is known.').waitFor();
    await dialog(page).getByLabel('Reason').fill('compared by hand, ticket 12');
    await api.send('POST', `/admin/findings/${ids[1]}/close`, { as: 'cancelled', reason: 'first', operator: 'op-1' });
    await dialog(page).getByRole('button', { name: 'Close 3 findings as cancelled' }).click({ force: true });
    expect(await books.db.reconciliationFinding.count({ where: { action: 'reported' } })).toBe(4); // the number was not typed
    await dialog(page).getByLabel('Type 3 to confirm').fill('3');
    await dialog(page).getByRole('button', { name: 'Close 3 findings as cancelled' }).click();
    await page.getByText('Of 3 findings: 2 closed, 1 refused.').waitFor();
    const outcomes = page.locator('.outcomes li');
    expect((await outcomes.allInnerTexts()).join('\n')).toMatch(
      new RegExp(
        `Finding ${ids[1]}: refused: .*op-1[\\s\\S]*Finding ${ids[4]}: closed[\\s\\S]*Finding ${ids[0]}: closed`,
      ),
    );
    await page.getByText('2 findings shown; there are no more.').waitFor(); // though the pointer was on the list
    await causes.getByRole('button', { name: 'Close 1 as cancelled: AMOUNT_MISMATCH' }).click();
    await dialog(page).getByRole('heading', { name: 'Close 1 finding as cancelled' }).waitFor();
    await dialog(page).getByText('No money moves').waitFor();
    await dialog(page).getByLabel('Reason').fill('the difference was refunded, ticket 13');
    await dialog(page).getByLabel('Type 1 to confirm').fill('1');
    await dialog(page).getByRole('button', { name: 'Close 1 finding as cancelled' }).click();
    await page.getByText('Of 1 finding: 1 closed.').waitFor();
    await page.getByText('1 finding shown; there are no more.').waitFor();
    expect(await books.db.reconciliationClosing.count({ where: { reason: 'compared by hand, ticket 12' } })).toBe(2);
  }, 60_000);

  test('of which many are charges are given back at once by typing their sum: each is asked for once, and what is refused stops nothing', async () => {
    await books.db.reconciliationFinding.updateMany({ data: { action: 'refunded' } });
    const amounts = [123_450, 200, 300].map((amount) => ({ amount, currency: 'EUR' }));
    for (const money of [...amounts, { amount: 500, currency: 'USD' }])
      await openFinding(books.db, 'ORPHAN_CHARGE', 'reported', {
        ...money,
        reference: `pi_${randomUUID()}`,
        orderId: randomUUID(),
      });
    await openFinding(books.db, 'MISSING_CHARGE', 'reported', { ...charge, reference: `pi_${randomUUID()}` });
    const found = await books.db.reconciliationFinding.findMany({
      where: { action: 'reported', kind: 'ORPHAN_CHARGE' },
      orderBy: { id: 'asc' },
    });
    const { page } = await open(api.url, { view: '/findings', requestsMayFail: true });
    const keys: string[] = [];
    page.on('request', (request) => {
      if (request.url().endsWith('/refund')) keys.push(request.headers()['idempotency-key'] ?? '');
    });
    await page.getByRole('button', { name: 'Choose the 4 that can be given back' }).click();
    const sum = 'USD 5.00 and EUR 1,239.50';
    await page.getByRole('button', { name: 'Give back USD 5.00 · EUR 1,239.50 of 4 findings …' }).click();
    await dialog(page).getByRole('heading', { name: 'Give back 4 charges' }).waitFor();
    await dialog(page).getByText(`with ${sum} at stake`).waitFor();
    await expectAccessible(page);
    await dialog(page).getByLabel('Reason').fill('lost by the restore, ticket 14');
    await dialog(page)
      .getByRole('button', { name: `Give back ${sum}` })
      .click({ force: true });
    await dialog(page).getByLabel(`Type ${sum} to confirm`).fill('4');
    await dialog(page)
      .getByRole('button', { name: `Give back ${sum}` })
      .click({ force: true });
    expect(keys).toEqual([]); // the sum was not typed
    await api.send('POST', `/admin/findings/${found[1]?.id}/close`, {
      as: 'cancelled',
      reason: 'first',
      operator: 'o',
    });
    await dialog(page).getByLabel(`Type ${sum} to confirm`).fill('usd 5.00 and eur 1239.50');
    await dialog(page)
      .getByRole('button', { name: `Give back ${sum}` })
      .click();
    await page.getByText('Of 4 findings: 3 to be given back, 1 refused.').waitFor();
    await page
      .getByRole('listitem')
      .filter({ hasText: `Finding ${found[3]?.id}: to be given back: USD 5.00` })
      .waitFor();
    expect(new Set(keys).size).toBe(4);
    const asked = await books.db.reconciliationClosing.findMany({
      where: { reason: 'lost by the restore, ticket 14' },
    });
    expect(asked.map(({ action }) => action)).toEqual(['refunding', 'refunding', 'refunding']);
    await books.db.reconciliationFinding.updateMany({ data: { action: 'refunded' } });
  }, 60_000);

  test('are an auditor’s to read, and nothing else', async () => {
    await openFinding(books.db, 'ORPHAN_CHARGE', 'reported', { ...charge, reference: `pi_${randomUUID()}` });
    const { page } = await open(api.url, { view: '/findings?state=all', before: asAuditor });
    await page.getByText('ORPHAN_CHARGE').first().waitFor();
    expect(await page.getByRole('button', { name: /^Close|^Give back|^Choose/ }).count()).toBe(0);
  });
});

const sku = async () => (await api.get<{ onHand: number; available: number }>('/inventory/COUNTED')).body;

describeWithChromium('stock', (open) => {
  test('is adjusted once for a reason; bad input is told at its field, and nothing typed is lost', async () => {
    const { page } = await open(api.url, { view: '/stock', requestsMayFail: true });
    await page.getByRole('button', { name: 'Adjust COUNTED' }).click();
    const pieces = page.getByLabel('Pieces to add, with a minus to remove');
    for (const [typed, told] of [
      ['half', 'A whole number of pieces'],
      ['0', 'A whole number of pieces'],
      ['-11', 'Only 10 are available'],
    ] as const) {
      await pieces.fill(typed);
      await page.getByRole('button', { name: 'Adjust …' }).click();
      await page.locator('#by-error').getByText(told).waitFor();
      expect(await pieces.inputValue()).toBe(typed);
    }
    await expectAccessible(page);

    // Somebody is faster: what was right when it was typed is refused, and told at the field as well.
    await pieces.fill('-8');
    await page.getByRole('button', { name: 'Adjust …' }).click();
    await dialog(page).getByLabel('Reason').fill('broken in the warehouse, ticket 12');
    const order = await accept(books.db, { COUNTED: 4 });
    await reserveInventory(books.db, order.id);
    await dialog(page).getByRole('button', { name: 'Remove 8' }).click();
    await dialog(page).getByText('only 6 of COUNTED are available').first().waitFor();
    await dialog(page).getByRole('button', { name: 'Leave it' }).click();
    await page.locator('#by-error').getByText('only 6 of COUNTED are available').waitFor();
    expect(await pieces.inputValue()).toBe('-8');

    await pieces.fill('-6');
    await page.getByRole('button', { name: 'Adjust …' }).click();
    expect(await dialog(page).getByLabel('Reason').inputValue()).toBe('broken in the warehouse, ticket 12');
    await dialog(page).getByRole('button', { name: 'Remove 6' }).click();
    await page.getByText('COUNTED: 4 on hand, 0 available.').waitFor();
    expect(await sku()).toMatchObject({ onHand: 4, available: 0 });
  }, 60_000);

  test('an answer that is lost is asked for again under the same key: the pieces are added once', async () => {
    const before = await sku();
    const { page } = await open(api.url, { view: '/stock', requestsMayFail: true });
    let lost = 0;
    await page.route('**/inventory/COUNTED/adjust', async (route) => {
      if (lost++ > 0) return route.continue();
      await route.fetch(); // it arrives, and its answer does not
      return route.abort();
    });
    await page.getByLabel('SKU', { exact: true }).fill('COUNTED');
    await page.getByLabel('Pieces to add, with a minus to remove').fill('25');
    await page.getByRole('button', { name: 'Adjust …' }).click();
    await dialog(page).getByLabel('Reason').fill('found behind the shelf');
    await dialog(page).getByLabel('Type 25 to confirm').fill('25');
    await dialog(page).getByRole('button', { name: 'Add 25' }).click();
    await dialog(page).getByText('The API does not answer just now.').waitFor();
    await dialog(page).getByRole('button', { name: 'Try again: Add 25' }).click();
    await page.getByText(`COUNTED: ${before.onHand + 25} on hand`).waitFor();
    expect(await sku()).toMatchObject({ onHand: before.onHand + 25 });
  });

  test('an auditor sees no form', async () => {
    const { page } = await open(api.url, { view: '/stock', before: asAuditor });
    await page.getByText('COUNTED').first().waitFor();
    expect(await page.getByRole('button', { name: /Adjust/ }).count()).toBe(0);
  });
});
