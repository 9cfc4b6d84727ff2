/** Brakes, erasures and the audit trail in a real Chromium, with sagas that really wait. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { beginChain } from '../../domain/audit/acts.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { parkSagas } from '../support/parked.js';
import { startSagaStack, type SagaStack } from '../support/saga.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { asAuditor } from './support/roles.js';

/** By whoever asks for the stuck sagas, and has not leafed. */
const LISTED_AT_A_TIME = 100;
const KEYS = auditKeys(['k'.repeat(32)]);
let stack: SagaStack;
let api: TestApi;
beforeAll(async () => {
  stack = await startSagaStack();
  const temporal = {
    connected: Promise.resolve(),
    client: () => stack.client,
    namespace: 'default',
    close: async () => undefined,
  };
  api = await startTestApi({
    db: stack.db,
    databaseUrl: stack.databaseUrl,
    temporal: temporal as never,
    auditKeys: KEYS,
  });
  await beginChain(api.db, KEYS);
  await stock(api.db, 'HELD', 1_000);
}, 120_000);
afterAll(async () => {
  await api?.stop();
  await stack?.stop();
});

const dialog = (page: Page) => page.getByRole('dialog');
type Brake = {
  brake: string;
  engaged: boolean;
  reason: string | null;
  message?: string;
  retryAfterSeconds?: number;
  spending?: { currency: string; most: number }[];
};
const brake = async (name: string) =>
  (await api.get<{ brakes: Brake[] }>('/admin/brakes')).body.brakes.find((each) => each.brake === name);

describeWithChromium('brakes', (open) => {
  test('charging is held, the orders that wait are shown with their money, and released by typing how many', async () => {
    const { page } = await open(api.url, { view: '/brakes', requestsMayFail: true });
    await page.getByRole('button', { name: 'Stop charging …' }).click();
    await dialog(page).waitFor();
    await page.goto(`${api.url}/console/#/`);
    await dialog(page).waitFor({ state: 'detached' });
    await page.goto(`${api.url}/console/#/brakes`);
    await page.getByRole('button', { name: 'Stop charging …' }).click();
    await dialog(page).getByText('their deadlines stand still').waitFor();
    await dialog(page).getByLabel('Reason').fill('double charges reported, ticket 4711');
    await dialog(page).getByRole('button', { name: 'Stop charging' }).click();
    await page.getByText('Charging: held back.').waitFor();
    expect(await brake('charging')).toMatchObject({ engaged: true, reason: 'double charges reported, ticket 4711' });

    const placed = await stack.place({ HELD: 3 });
    await page.getByText('1 order, worth USD 30.00').waitFor({ timeout: 40_000 });
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Release charging' }).click();
    await dialog(page).getByText('This concerns 1 held order').waitFor();
    await dialog(page).getByLabel('Reason').fill('mended, ticket 4711');
    await dialog(page).getByRole('button', { name: 'Release, and charge 1 order' }).click();
    await page.getByText('Charging: released.').waitFor();
    await page.locator('#main .notice:focus, #main h1:focus, #main button:focus').first().waitFor();
    expect(await brake('charging')).toMatchObject({ engaged: false });
    // No prober runs here, which lets held charges go on by itself.
    const retry = { action: 'retry', reason: 'mended, ticket 4711' };
    expect((await api.send('POST', `/admin/sagas/${placed.order.id}/resolve`, retry)).status).toBe(200);
    await eventually(
      'it is confirmed',
      async () => (await api.db.order.findUnique({ where: { id: placed.order.id } }))?.status === 'CONFIRMED',
      60_000,
    );
  }, 120_000);

  test('of two that hold charges the one that is left is named, and what is held is shown behind whatever else is stuck', async () => {
    await parkSagas({ db: api.db, client: stack.client }, LISTED_AT_A_TIME + 1, [
      { step: 'chargePayment', failure: 'GatewayMismatch' },
    ]);
    const engage = (name: string, body: object) =>
      api.send('POST', `/admin/brakes/${name}/engage`, { reason: 'ticket 4713', ...body });
    await engage('charging', {});
    await engage('spending', { limits: { USD: 100 } });
    const placed = await stack.place({ HELD: 1 }); // younger than the others, and cheaper: behind them
    const { page } = await open(api.url, { view: '/brakes' });
    await page.getByText('1 order, worth USD 10.00').waitFor({ timeout: 40_000 });
    await page.getByRole('region', { name: 'Held orders' }).locator(`a[href="#/orders/${placed.order.id}"]`).waitFor();
    await page.getByText('1 of 1 order shown; there are no more.').waitFor();

    await page.getByRole('button', { name: 'Release charging' }).click();
    await dialog(page).getByText('Spending limit stays: of 1 held charge it holds what it has no room for.').waitFor();
    await dialog(page).getByRole('button', { name: 'Release', exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Release spending limit' }).click();
    await dialog(page).getByText('Charging stays held back: 1 held charge waits on.').waitFor();
    await dialog(page).getByLabel('Reason').fill('the sale is over, ticket 4713');
    await dialog(page).getByRole('button', { name: 'Release', exact: true }).click();
    await page.getByText('Spending limit: released.').waitFor();
    await page.getByRole('button', { name: 'Release charging' }).click();
    await dialog(page).getByRole('button', { name: 'Release, and charge 1 order' }).waitFor();
    await api.send('POST', '/admin/brakes/charging/release', { reason: 'over' });
  }, 90_000);

  test('a limit and what orders are told are checked at their fields, and what was typed stays', async () => {
    const { page } = await open(api.url, { view: '/brakes', requestsMayFail: true });
    const limits = page.getByLabel('Most within an hour');
    for (const typed of ['', 'lots', 'EUR', 'EUR 5.555', 'EUR 5,000', 'JPY 5.5', 'EUR 1, EUR 2']) {
      await limits.fill(typed);
      await page.getByRole('button', { name: 'Limit spending …' }).click();
      await page.locator('#spending-limits-error').waitFor();
      expect(await limits.inputValue()).toBe(typed);
    }
    await page.getByLabel('When they come again').fill('soon');
    await page.getByRole('button', { name: 'Stop accepting orders …' }).click();
    await page.locator('#accepting-retry-error').waitFor();
    await page.getByLabel('What whoever orders is told').fill('Back at noon');
    await page.getByLabel('When they come again').fill('120');
    await expectAccessible(page);
    await limits.fill('EUR 5000, USD 999.50');
    await page.getByRole('button', { name: 'Limit spending …' }).click();
    await dialog(page).getByText('At most EUR 5,000.00 and USD 999.50 within an hour.').waitFor();
    await dialog(page).getByLabel('Reason').fill('a sale, ticket 5');
    await dialog(page).getByRole('button', { name: 'Limit spending' }).click();
    await page.getByText('Spending limit: held back.').waitFor();
    expect((await brake('spending'))?.spending).toMatchObject([
      { currency: 'EUR', most: 500_000 },
      { currency: 'USD', most: 99_950 },
    ]);

    expect(await page.getByLabel('What whoever orders is told').inputValue()).toBe('Back at noon');
    await page.getByRole('button', { name: 'Stop accepting orders …' }).click();
    await dialog(page).getByLabel('Reason').fill('maintenance, ticket 6');
    await dialog(page).getByRole('button', { name: 'Stop accepting orders' }).click();
    await page.getByText('Accepting orders: held back.').waitFor();
    expect(await brake('accepting')).toMatchObject({ engaged: true, message: 'Back at noon', retryAfterSeconds: 120 });

    // What is left as it is stays so, what is changed is changed.
    await page.getByText('Come again after').waitFor();
    const said = page.getByLabel('What whoever orders is told');
    await eventually('the form says what is said', async () => (await said.inputValue()) === 'Back at noon');
    expect(await page.getByLabel('When they come again').inputValue()).toBe('120');
    expect(await limits.inputValue()).toBe('EUR 5000.00, USD 999.50');
    await said.fill('Back at one');
    await page.getByRole('button', { name: 'Change what is said of accepting orders …' }).click();
    await dialog(page).getByLabel('Reason').fill('it takes longer, ticket 6');
    await dialog(page).getByRole('button', { name: 'Change what is said of accepting orders' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    expect(await brake('accepting')).toMatchObject({ message: 'Back at one', retryAfterSeconds: 120 });
    for (const name of ['accepting', 'spending'])
      await api.send('POST', `/admin/brakes/${name}/release`, { reason: 'over' });
  }, 60_000);

  test('are an auditor’s to see, and nothing else', async () => {
    const { page } = await open(api.url, { view: '/brakes', before: asAuditor });
    await page.getByText('Not held back').first().waitFor();
    expect(await page.getByRole('button', { name: /Stop|Limit|Release/ }).count()).toBe(0);
  });
});

describeWithChromium('erasures', (open) => {
  test('one is asked for by the customer’s id, followed, and says what holds it', async () => {
    await accept(api.db, { HELD: 1 }, { customerId: 'cus_to_forget' });
    const { page } = await open(api.url, { view: '/erasures', requestsMayFail: true });
    await page.getByRole('button', { name: 'Erase …' }).click();
    await page.locator('#customer-error').waitFor();
    await page.getByLabel('Id of the customer').fill('cus_to_forget');
    await page.getByRole('button', { name: 'Erase …' }).click();
    await dialog(page).getByText('It cannot be taken back.').waitFor();
    await dialog(page).getByLabel('Reason').fill('the customer’s request, ticket 4712');
    await dialog(page).getByRole('button', { name: 'Erase 1 customer' }).click();
    await page.getByText('It is asked for').waitFor();
    await expectAccessible(page);
    await page.getByRole('link', { name: /^erasure / }).click();
    await page.getByRole('heading', { name: 'How it stands' }).waitFor();
    await page.getByText('the customer’s request, ticket 4712').waitFor();
    expect(await page.locator('main').textContent()).not.toContain('cus_to_forget');
    await expectAccessible(page);
  }, 60_000);

  test('are an auditor’s to read, and nothing else', async () => {
    const { page } = await open(api.url, { view: '/erasures', before: asAuditor });
    await page.getByText('the customer’s request, ticket 4712').waitFor();
    expect(await page.getByRole('button', { name: /Erase/ }).count()).toBe(0);
  });
});

describeWithChromium('the audit trail', (open) => {
  test('is searched by who and what, the newest first, and verified as a whole', async () => {
    for (const by of [1, 2])
      await api.send('POST', '/inventory/HELD/adjust', { by, reason: `ticket ${by}`, operator: `op-${by}` });
    const { page } = await open(api.url, { view: '/audit' });
    const entries = page.getByRole('region', { name: 'Entries of the audit trail' }).locator('tbody tr');
    await entries.first().getByText('ticket 2').waitFor();
    await page.getByLabel('About what').fill('HELD');
    await page.getByLabel('Kind', { exact: true }).selectOption('act');
    await page.getByLabel('From the day (UTC)').fill('yesterday');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.locator('#audit-from-error').waitFor();
    await page.getByLabel('From the day (UTC)').fill('');
    await page.getByRole('button', { name: 'Search' }).click();
    await eventually('two are left', async () => (await entries.count()) === 2);
    expect(await entries.first().textContent()).toContain('ticket 2');
    await page.getByRole('button', { name: 'Verify the trail' }).click();
    await page.getByText(/^.*Whole at .*: \d+ acts/).waitFor();
    await expectAccessible(page);
  }, 60_000);
});
