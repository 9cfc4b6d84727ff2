/** One order on the screen, in a real Chromium: real sagas with faults, and what an operator does about them from there. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { Order } from '../../contracts/orders.js';
import { orderSagaId } from '../../contracts/ids.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { restartSaga } from '../../sagas/restart.js';
import { describeRun } from '../../sagas/describe.js';
import { AWAY, closedPort, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { PATIENT } from '../support/saga.js';
import { KEY, openStage, type Stage } from '../explanation/stage.js';
import { confirmed, parkedAt, retrying, useStage } from '../explanation/staging.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { picture } from './support/pictures.js';
import { asAuditor } from './support/roles.js';

/** Of a screenshot: enough to see what it is about, and small. */
const SHOWN = 720;

let stage: Stage;
let api: TestApi;
/** How long a gateway takes that hangs. */
const SLOW_MS = 10_000;
const apiWith = (gatewayUrl: string, timeoutMs = 1_000) =>
  startTestApi({
    ...{ db: stage.s.db, databaseUrl: stage.s.databaseUrl, temporalUiUrl: 'http://127.0.0.1:8233' },
    temporal: { ...AWAY, client: () => stage.s.client },
    explaining: {
      gateway: { where: gatewayUrl, ledger: createPaymentGateway({ url: gatewayUrl, apiKey: KEY, timeoutMs }) },
      probeEveryMs: 30_000,
    },
  });
beforeAll(async () => {
  stage = await openStage();
  useStage(stage);
  api = await apiWith(stage.s.sandboxUrl);
});
afterEach(async () => {
  stage.broken.clear();
  await stage.s.heal();
});
afterAll(async () => {
  await api?.stop();
  await stage?.s.stop();
});

const statusOf = async (id: string) => (await api.get<Order>(`/orders/${id}`)).body.status;
/** The rows of the list, each as one line; with what the gateway says, if that is still being asked. */
const listed = async (page: Page): Promise<string[]> => {
  await page.getByText('The payment gateway is being asked').waitFor({ state: 'detached' });
  const rows = await page.getByRole('region', { name: 'What happened and what is awaited' }).locator('tbody tr').all();
  return Promise.all(rows.map(async (row) => (await row.innerText()).replace(/\s+/g, ' ')));
};
const rowWith = (page: Page, text: string | RegExp) => page.locator('tbody tr').filter({ hasText: text });

describeWithChromium('an order on the screen', (open) => {
  test('that is confirmed shows its steps, its charge, its events; links to its saga; and offers to cancel it only', async () => {
    const id = await confirmed();
    const { page } = await open(api.url, { view: `/orders/${id}` });
    await page.getByText('CONFIRMED, confirmed').waitFor();
    const rows = await listed(page);
    for (const part of [/reserveInventory: completed .*✓ done/, /charged: 10\.00 USD .*pi_/, /4 order\.confirmed/])
      expect(rows.join('\n')).toMatch(part);
    const link = page.getByRole('link', { name: 'Temporal Web UI' });
    expect(await link.getAttribute('href')).toContain(`/workflows/${orderSagaId(id)}/`);
    expect(await page.getByRole('button', { name: / …$/ }).allInnerTexts()).toEqual(['Cancel the order …']);
    await page.getByRole('img', { name: /entries in 5 lanes/ }).waitFor();
    await picture(page, 'order-confirmed', SHOWN);
    await expectAccessible(page);
  }, 60_000);

  test('that is parked is retried by keyboard alone, and the screen says that it worked when the order says so', async () => {
    const id = await parkedAt('chargePayment');
    await stage.until(id, 'parked');
    const { page } = await open(api.url, { view: `/orders/${id}` });
    await page.getByText('PENDING, parked').waitFor();
    await rowWith(page, 'chargePayment: tries').getByText('chargePayment is broken for a test').waitFor();
    await rowWith(page, /chargePayment: parked for/)
      .first()
      .waitFor();
    await page.getByText(/Idle times are cut short: (9|10) min/).waitFor();
    await picture(page, 'order-parked', SHOWN);
    await expectAccessible(page);

    // Still broken: the answer is 200, and the order is no further.
    await pressButton(page, 'Retry chargePayment …');
    await page.keyboard.type('looked at it');
    await page.keyboard.press('Enter');
    await page.getByText(/It was tried again, and failed: chargePayment is broken/).waitFor();
    expect(await statusOf(id)).toBe('PENDING');

    stage.broken.clear();
    await pressButton(page, 'Retry chargePayment …');
    expect(await page.getByRole('dialog').innerText()).toContain('takes 10.00 USD, once');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await statusOf(id)).toBe('PENDING');
    await pressButton(page, 'Retry chargePayment …');
    await page.keyboard.type('mended');
    await page.keyboard.press('Enter');
    await page.getByText('It worked: the order is CONFIRMED.').waitFor({ timeout: 20_000 });
    expect(await statusOf(id)).toBe('CONFIRMED');
    await rowWith(page, 'mended').first().waitFor();
  }, 90_000);

  test('that is unwinding shows what is undone and what is to come, and its end by itself', async () => {
    stage.broken.add('refundPayment');
    const id = await retrying();
    await stage.until(id, 'retrying');
    await stage.ops('compensate', id, '--yes', '--reason', 'given up');
    await stage.until(id, 'unwinding');
    const { page } = await open(api.url, { view: `/orders/${id}` });
    await page.getByText('PENDING, unwinding').waitFor();
    await rowWith(page, 'cancelOrder: its turn is to come').waitFor();
    await rowWith(page, 'refundPayment is broken for a test').first().waitFor();
    await picture(page, 'order-unwinding', SHOWN);
    await expectAccessible(page);
    stage.broken.clear();
    await page.getByText('CANCELLED, cancelled').waitFor({ timeout: 30_000 });
    expect(await statusOf(id)).toBe('CANCELLED');
  }, 90_000);

  test('that is confirmed is cancelled from the screen with the money named; and after Temporal’s retention its picture is the same', async () => {
    const id = await confirmed();
    const { page, show } = await open(api.url, { view: `/orders/${id}` });
    await page.getByRole('button', { name: 'Cancel the order …' }).click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.getByRole('heading').innerText()).toBe('Cancel the order');
    expect(await dialog.innerText()).toMatch(/with USD 10\.00 at stake.*It cannot be taken back/s);
    await dialog.getByLabel('Reason').fill('ordered twice');
    await page.keyboard.press('Enter');
    expect(await dialog.isVisible()).toBe(true); // the number is not typed
    expect(await statusOf(id)).toBe('CONFIRMED');
    await dialog.getByLabel(/^Type 1/).fill('1');
    let answer = () => {};
    const isLookedAt = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await page.route('**/timeline*', async (route) => {
      await isLookedAt;
      await route.continue().catch(() => undefined); // it may be asked no more
    });
    await dialog.getByRole('button', { name: 'Cancel the order' }).click();
    await page.getByText('Accepted, and not looked at yet.').waitFor();
    expect(await page.getByText('It came to something else').count()).toBe(0);
    answer();
    await page.getByText(/Accepted, and not there yet|It worked: the order is CANCELLED/).waitFor();
    // As a relay does.
    await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id).catch(() => undefined);
    await page.getByText('It worked: the order is CANCELLED.').waitFor({ timeout: 30_000 });
    expect(await page.locator('.notice').filter({ hasText: 'It worked' }).innerText()).toMatch(
      /^✓\s*Cancel the order\. It worked/,
    );
    await page.getByText('its end was asked for by somebody who did not sign in (anonymous)').waitFor();
    expect(await statusOf(id)).toBe('CANCELLED');
    expect(await stage.s.money(id)).toMatchObject({ net: 0 });

    // Whoever has started the saga notes that by the way, maybe after its end; and a screen that has shown the end asks no more.
    await eventually('its saga was seen to begin', async () => {
      const { sagaStartedAt } = await stage.s.db.order.findUniqueOrThrow({ where: { id } });
      return sagaStartedAt;
    });
    await show('/about');
    await show(`/orders/${id}`);
    await page.getByRole('link', { name: 'Temporal Web UI' }).waitFor();
    const before = await listed(page);
    expect(before.join('\n')).toMatch(/given back: 10\.00 USD/);
    await forget(`${orderSagaId(id)}`, `${orderSagaId(id)}-cancel`);
    await show('/about');
    await show(`/orders/${id}`);
    await page.getByText(/removed by its retention/).waitFor();
    expect(await listed(page)).toEqual(before);
    await picture(page, 'order-after-retention', SHOWN);
    await expectAccessible(page);
  }, 150_000);

  test('while the gateway is away shows the money as it was recorded, and says what is missing', async () => {
    const id = await confirmed();
    const away = await apiWith(`http://127.0.0.1:${await closedPort()}`);
    try {
      const { page } = await open(away.url, { view: `/orders/${id}` });
      await page.getByText(/The gateway was not read: .* Not known therefore: what the gateway holds/).waitFor();
      await rowWith(page, 'charged: 10.00 USD, as recorded').waitFor();
      await expectAccessible(page);
    } finally {
      await away.stop();
    }
  }, 60_000);

  test('while the gateway hangs shows all else at once, says what it waits for, and the money when that has come', async () => {
    const id = await confirmed();
    await stage.s.fault({ route: 'lookup', mode: 'slow', delayMs: SLOW_MS, count: null });
    const patient = await apiWith(stage.s.sandboxUrl, SLOW_MS * 2);
    try {
      const { page } = await open(patient.url, { view: `/orders/${id}` });
      await page.getByText(/The payment gateway is being asked for this order’s money, for \d+ s now\./).waitFor();
      await page.getByText('CONFIRMED, confirmed').waitFor();
      await rowWith(page, 'charged: 10.00 USD, as recorded').waitFor();
      await page.getByText(/The gateway was not read: .* did not answer within/).waitFor();
      await stage.s.heal();
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.getByRole('button', { name: 'Go on' }).click();
      await rowWith(page, 'as recorded').waitFor({ state: 'detached' });
      await rowWith(page, 'charged: 10.00 USD').waitFor();
      expect(await page.getByText('The payment gateway is being asked').count()).toBe(0);
    } finally {
      await patient.stop();
    }
  }, 60_000);

  test('that has gone on since it was looked at is not decided on, and the screen says what has changed', async () => {
    const id = await parkedAt('chargePayment');
    await stage.until(id, 'parked');
    const { page } = await open(api.url, { view: `/orders/${id}`, requestsMayFail: true });
    await page.getByRole('button', { name: 'Skip chargePayment …' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('paid by bank transfer');
    await dialog.getByLabel(/^Type 1/).fill('1');
    stage.broken.add('refundPayment');
    await stage.ops('compensate', id, '--yes', '--reason', 'given up');
    await stage.until(id, 'unwinding');
    await dialog.getByRole('button', { name: 'Skip chargePayment' }).click();
    await dialog.getByText('Nothing was decided. You saw it parked at chargePayment.').waitFor();
    await dialog.getByText(/It is \w+ at refundPayment.* by now\./).waitFor();
    expect(await dialog.getByLabel('Reason').inputValue()).toBe('paid by bank transfer');
    expect(await stage.s.db.sagaLogEntry.count({ where: { orderId: id, outcome: 'skipped' } })).toBe(0);
  }, 90_000);

  test('offers no acts to whoever is no operator, and tells of an order that is not there', async () => {
    const id = await parkedAt('chargePayment');
    await stage.until(id, 'parked');
    const { page, show } = await open(api.url, {
      view: `/orders/${id}`,
      requestsMayFail: true,
      before: asAuditor,
    });
    await page.getByText('PENDING, parked').waitFor();
    await page.getByText(`ops retry ${id}`).waitFor();
    expect(await page.getByRole('button', { name: / …$/ }).count()).toBe(0);
    await show('/orders/0199d0a0-0000-7000-8000-000000000000');
    await page.getByText(/There is no order 0199d0a0/).waitFor();
  }, 60_000);
});

/** With Tab and Enter, as whoever has no pointer. */
async function pressButton(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name }).waitFor();
  await eventually('the focus is on it', async () => {
    await page.keyboard.press('Tab');
    return (await page.evaluate<string>('document.activeElement?.innerText ?? ""')) === name;
  });
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
}

/** As the end of its retention does. */
async function forget(...workflowIds: string[]): Promise<void> {
  const { client } = stage.s;
  for (const workflowId of workflowIds) {
    const known = { namespace: 'default', workflowExecution: { workflowId } };
    await client.workflowService.deleteWorkflowExecution(known);
  }
  for (const workflowId of workflowIds)
    await eventually('it is forgotten', async () => (await describeRun(client, workflowId)) === null, 60_000);
}
