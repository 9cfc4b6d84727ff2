/** Finding an order in the console, and choosing among stuck sagas: over real sagas that a real fault has parked. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../support/conditions.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { type ConsoleStack, SHORT, startConsoleStack } from './support/stack.js';

let s: ConsoleStack;
let parked: string[];
beforeAll(async () => {
  s = await startConsoleStack();
  await s.fault({ route: 'all', mode: 'down' });
  const placed = await Promise.all([1, 2, 3].map((quantity) => s.place({ KEYBOARD: quantity }, { policy: SHORT })));
  parked = placed.map(({ order }) => order.id);
  await eventually('three sagas are parked', async () => {
    const { body } = await s.api.get<{ sagas: unknown[] }>('/admin/sagas');
    return body.sagas?.length === 3;
  });
}, 120_000);
afterAll(() => s?.stopAll());

const orderOf = async (id = parked[0] as string) => (await s.api.get<{ correlationId: string }>(`/orders/${id}`)).body;

describeWithChromium('the search', (open) => {
  test('finds an order by what somebody has in hand, says by what, and leads to it', async () => {
    const { correlationId } = await orderOf();
    const { page } = await open(s.api.url, { view: '/search' });
    await page.getByLabel('Find an order').fill(`  ${correlationId} `);
    await page.getByLabel('Find an order').press('Enter');
    await page.getByText('1 order, found by correlation id.').waitFor();
    expect(page.url()).toContain(`#/search?q=${correlationId}`);
    await expectAccessible(page);
    await page.getByRole('region', { name: 'Orders that were found' }).getByRole('link').first().click();
    await page.waitForURL(new RegExp(`#/orders/${parked[0]}$`));
    await page.goBack();
    await page.getByText('1 order, found by correlation id.').waitFor();
    expect(await page.getByLabel('Find an order').inputValue()).toBe(correlationId);
  });

  test('finds orders by the stock that they hold, their amount and their time; the stock page leads there', async () => {
    const { page, show } = await open(s.api.url, { view: '/stock' });
    const row = page.getByRole('row', { name: /KEYBOARD/ });
    await row.getByRole('link', { name: '6', exact: true }).click();
    await page.waitForURL(/#\/search\?sku=KEYBOARD&held=now$/);
    const found = page.getByRole('region', { name: 'Orders that have it in common' }).locator('tbody tr');
    await page.getByText('Worth USD 60.00, of those shown.').waitFor();
    expect(await found.count()).toBe(3);
    await found.getByText('1 × KEYBOARD').first().waitFor();
    await found
      .getByText(/^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC/)
      .first()
      .waitFor();
    await expectAccessible(page);
    await page.getByLabel('Total, at least').fill('15.00');
    await page.getByRole('button', { name: 'Find orders' }).click();
    await page.getByText('An amount needs its currency').waitFor();
    await page.getByLabel('Currency').fill('usd');
    await page.getByLabel('Total, at most').fill('20');
    await page.getByRole('button', { name: 'Find orders' }).click();
    await page.getByText('1 order shown; there are no more.').waitFor();
    await found.getByText('USD 20.00').waitFor();
    await page.getByLabel('Accepted before (UTC)').fill('2020-01-01');
    await page.getByRole('button', { name: 'Find orders' }).click();
    await page.getByText('Nothing is found.').waitFor();
    await show('/search');
    await page.getByLabel('Find an order').fill('sku:KEYBOARD');
    await page.getByLabel('Find an order').press('Enter');
    await page.getByText('3 orders shown; there are no more.').waitFor();
    await page.getByLabel('Find an order').fill('sku:OTHER');
    await page.getByLabel('Find an order').press('Enter');
    await page.getByText('Nothing is found.').waitFor();
  });

  test('says of what is found nowhere what was tried, and of what cannot be asked what is wrong with it', async () => {
    const { page } = await open(s.api.url, { view: '/search?q=ch_3Ab0000000000001' });
    await page.getByText('open the charge in its dashboard').waitFor();
    for (const [text, words] of [
      ['two words', 'One word at a time'],
      ['café', 'such letters'],
      ['', 'Write what you have'],
    ] as const) {
      await page.getByLabel('Find an order').fill(text);
      await page.getByRole('button', { name: 'Search' }).click();
      await page.getByText(words).waitFor();
      expect(await page.getByLabel('Find an order').inputValue()).toBe(text);
    }
    await expectAccessible(page);
  });
});

describeWithChromium('the stuck sagas', (open) => {
  test('are listed by cause and one by one; those that were chosen, and no others, are previewed', async () => {
    const { page } = await open(s.api.url, { view: '/sagas' });
    const cause = page.getByRole('row', { name: /chargePayment: GatewayUnknown/ }).first();
    await cause.getByText('USD 60.00').waitFor();
    await page.getByText('3 of 3 sagas shown; there are no more.').waitFor();
    await expectAccessible(page);
    await page.getByLabel(`Choose order ${parked[0]}`).check();
    await page.getByLabel(`Choose order ${parked[2]}`).check();
    await page.getByText('2 sagas chosen, USD 40.00 held up').waitFor();
    await page
      .getByRole('group', { name: 'What is chosen' })
      .getByRole('button', { name: 'Decide on 2 sagas …' })
      .click();
    await page.waitForURL(/#\/operations\?selection=/);
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.waitForURL(/#\/operations\/[0-9a-f-]{36}/);
    const id = page.url().split('/').at(-1);
    const { body } = await s.api.get<{ items: { orderId: string }[] }>(`/admin/operations/${id}/items`);
    expect(body.items.map(({ orderId }) => orderId).sort()).toEqual([parked[0], parked[2]].sort());
  });

  test('of one cause are shown by themselves, and previewed all together by their number', async () => {
    const { page } = await open(s.api.url, { view: '/sagas' });
    await page.getByRole('link', { name: /^chargePayment (gets no answer|fails)/ }).click();
    await page.getByRole('heading', { name: 'Those of this cause' }).waitFor();
    await page.getByRole('region', { name: 'Causes' }).getByRole('button', { name: 'Decide on 3 sagas …' }).click();
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.waitForURL(/#\/operations\/[0-9a-f-]{36}/);
    await page.getByRole('heading', { name: /Retry 3 sagas/ }).waitFor();
  });

  test('that stand at no step are shown by themselves, and decided on without those that one has stopped', async () => {
    const [early, late] = [await s.place({ KEYBOARD: 1 }), await s.place({ KEYBOARD: 1 }, { policy: SHORT })];
    const listed = async (query: string) =>
      (await s.api.get<{ sagas: { orderId: string }[] }>(`/admin/sagas?${query}`)).body.sagas.map((of) => of.orderId);
    await eventually('one is parked at its step', async () => (await listed('limit=50')).includes(late.order.id));
    await Promise.all([early, late].map(({ saga }) => saga.terminate('by mistake')));
    await eventually('both are ended', async () => (await listed('failure=TERMINATED')).length === 2);
    expect(await listed('step=none&failure=TERMINATED')).toEqual([early.order.id]);
    expect(await listed('step=chargePayment&failure=TERMINATED')).toEqual([late.order.id]);
    expect(await listed('failure=none')).toEqual([]);

    const { page, show } = await open(s.api.url, { view: '/' });
    const link = page.locator('a[href*="failure=TERMINATED"][href*="step=none"]').first();
    await link.click();
    await page.getByText('1 of 1 saga shown; there are no more.').waitFor();
    const cause = page.getByRole('row', { name: /before its first step: TERMINATED/ }).first();
    await cause.getByRole('button', { name: 'Decide on 1 saga …' }).click();
    const previewed = async () => {
      await page.getByRole('button', { name: 'Preview' }).click();
      await page.waitForURL(/#\/operations\/[0-9a-f-]{36}/);
      const id = page.url().split('/').at(-1);
      const { body } = await s.api.get<{ items: { orderId: string }[] }>(`/admin/operations/${id}/items`);
      return body.items.map(({ orderId }) => orderId);
    };
    expect(await previewed()).toEqual([early.order.id]);
    await show('/operations');
    await page.getByLabel('Which').selectOption({ label: '1 saga at no step: TERMINATED (USD 10.00)' });
    expect(await previewed()).toEqual([early.order.id]);
  }, 60_000);

  test('that there are none of is said', async () => {
    const { page } = await open(s.api.url, { view: '/sagas?state=COMPENSATING' });
    await page.getByText('No saga is unwinding.').waitFor();
    await expectAccessible(page);
  });
});
