/** The console by keyboard alone, through an operator's whole day; then axe on every view that it has, with what that day has left on them. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { auditKeys } from '../../domain/audit/signatures.js';
import { openFinding } from '../../domain/reconciliation.js';
import { startOperations } from '../../workers/operations/runner.js';
import { SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept } from '../support/database.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { type Keyboard, keyboardOf } from './support/keyboard.js';
import { type ConsoleStack, SHORT, startConsoleStack } from './support/stack.js';
import { addressesOfViews } from './support/views.js';

let s: ConsoleStack;
let parked: string[];
let stopRunner: () => Promise<void>;
beforeAll(async () => {
  s = await startConsoleStack();
  stopRunner = startOperations({
    ...{ db: s.db, keys: auditKeys([]), client: () => s.client, where: 'test/default', policy: SHORT, logger: SILENT },
  });
  await s.fault({ route: 'charge', mode: 'down' });
  const placed = await Promise.all([1, 2, 3].map((quantity) => s.place({ KEYBOARD: quantity }, { policy: SHORT })));
  parked = placed.map(({ order }) => order.id);
  await eventually('three sagas are parked', async () => {
    const { body } = await s.api.get<{ sagas: unknown[] }>('/admin/sagas');
    return body.sagas?.length === 3;
  });
  await s.heal();
  const charge = { reference: `pi_${randomUUID()}`, orderId: randomUUID(), amount: 1_234, currency: 'EUR' };
  await openFinding(s.db, 'ORPHAN_CHARGE', 'reported', charge);
}, 120_000);
afterAll(async () => {
  await stopRunner?.();
  await s?.stopAll();
});

const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name, exact: true }).first();
const statusOf = async (id: string) => (await s.api.get<{ status: string }>(`/orders/${id}`)).body.status;

/** From a button that opens the dialog on. */
async function confirm(page: Page, keys: Keyboard, reason: string, typed?: string): Promise<void> {
  const opener = await keys.focused();
  await keys.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  await keys.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await keys.focused()).toBe(opener);
  await keys.press('Enter');
  await dialog.waitFor();
  expect(await keys.focused()).toBe('confirm-reason');
  await keys.type(reason);
  if (typed !== undefined) {
    await keys.goTo(dialog.getByLabel(/^Type/));
    await keys.type(typed);
  }
  await keys.press('Enter');
  await dialog.waitFor({ state: 'detached' });
}

/** Whoever goes by keyboard goes on from where the act has left them. */
const expectSomewhere = (keys: Keyboard) =>
  eventually('the focus is somewhere', async () => (await keys.focused()) !== 'nothing');

describeWithChromium('the console', (open) => {
  test('is worked by keyboard alone: from the first screen to what is decided, done and seen to have worked', async () => {
    const { page } = await open(s.api.url);
    const keys = keyboardOf(page);
    const view = async (name: string) => {
      await keys.goBackTo(page.getByRole('navigation').getByRole('link', { name, exact: true }));
      await keys.press('Enter');
      await page.getByRole('heading', { level: 1, name }).waitFor();
    };
    const cause = page.getByRole('link', { name: /^chargePayment (fails|gets no answer)/ });
    await cause.waitFor();
    await keys.goTo(page.getByRole('link', { name: 'Skip to the content' }));
    await keys.press('Enter');
    expect(await keys.focused()).toBe('main');

    // A cause, two of its sagas, an operation on them.
    await keys.goTo(cause);
    await keys.press('Enter');
    await page.getByRole('heading', { name: 'Those of this cause' }).waitFor();
    for (const id of parked.slice(0, 2)) {
      await keys.goTo(page.getByLabel(`Choose order ${id}`));
      await keys.press('Space');
    }
    await page.getByText('2 sagas chosen').waitFor();
    await keys.goBackTo(
      page.getByRole('group', { name: 'What is chosen' }).getByRole('button', { name: /^Decide on 2/ }),
    );
    await keys.press('Enter');
    await keys.goTo(button(page, 'Preview'));
    await keys.press('Enter');
    await keys.goTo(button(page, 'Retry 2 sagas …'));
    await confirm(page, keys, 'the gateway is back, ticket 1', '2');
    await page.getByText('2 of 2 concluded').waitFor({ timeout: 30_000 });
    await expectSomewhere(keys);
    for (const id of parked.slice(0, 2)) expect(await statusOf(id)).toBe('CONFIRMED');

    // One order.
    await view('Search');
    await keys.goTo(page.getByLabel('Find an order'));
    await keys.type(parked[2] as string);
    await keys.press('Enter');
    await keys.goTo(page.getByRole('region', { name: 'Orders that were found' }).getByRole('link').first());
    await keys.press('Enter');
    await keys.goTo(button(page, 'Retry chargePayment …'));
    await confirm(page, keys, 'the gateway is back, ticket 1');
    await page.getByText('It worked: the order is CONFIRMED.').waitFor({ timeout: 30_000 });
    await expectSomewhere(keys);

    // A finding, found by a choice.
    await view('Findings');
    await keys.goTo(page.getByLabel('Which'));
    await keys.press('ArrowDown');
    await page.waitForURL(/state=reported/);
    await keys.goTo(button(page, /^Close as \w+: finding/));
    await confirm(page, keys, 'given back by hand, ticket 2');
    await page.getByText(/^Finding \d+: Settled/).waitFor();
    await expectSomewhere(keys);

    await view('Stock');
    await keys.goTo(button(page, 'Adjust KEYBOARD'));
    await keys.press('Enter');
    expect(await keys.focused()).toBe('by');
    await keys.type('7');
    await keys.goTo(button(page, 'Adjust …'));
    await confirm(page, keys, 'found behind the shelf');
    await page.getByText(/KEYBOARD: .* on hand/).waitFor();
    await expectSomewhere(keys);

    await view('Brakes');
    await keys.goTo(button(page, 'Stop accepting orders …'));
    await confirm(page, keys, 'stock is being counted');
    await page.getByText('Accepting orders: held back.').waitFor();
    await keys.goTo(button(page, 'Release accepting orders'));
    await confirm(page, keys, 'counted');
    await page.getByText('Accepting orders: released.').waitFor();
    await expectSomewhere(keys);
  }, 120_000);

  test('has no finding of axe on any of its views, in either theme, with data on them', async () => {
    const { page, show } = await open(s.api.url);
    for (const view of await addressesOfViews(page, await something())) {
      await show(view);
      await page.getByText(/Reading|Asking Temporal/).waitFor({ state: 'detached' });
      await expectAccessible(page);
    }
  }, 120_000);
});

/** What views show that have nothing of the day: an event that is not taken, an erasure, a charge that is in doubt. */
async function something(): Promise<Record<string, string>> {
  const { id: orderId } = await accept(s.db, { KEYBOARD: 1 });
  const letter = {
    destination: 'webhook',
    orderId,
    sequence: 1,
    type: 'order.accepted',
    cause: 'rejected',
    attempts: 3,
  };
  const { id } = await s.db.deadLetter.create({ data: { ...letter, error: 'it answered 422' } });
  const charge = { reference: `pi_${orderId}`, orderId, amount: 1_234, currency: 'EUR' };
  await openFinding(s.db, 'DOUBLE_CHARGE', 'reported', charge);
  const asked = { action: 'replay', deadLetterIds: [`${id}`] };
  const preview = await s.api.send<{ id: string }>('POST', '/admin/operations/preview', asked);
  const erasure = await s.api.send<{ id: string }>('POST', '/admin/customers/cus_nobody/erase', { reason: 'ticket 1' });
  return {
    ...{
      '/orders/:id': parked[0] as string,
      '/operations/:id': preview.body.id,
      '/erasures/:id': erasure.body.id,
      '/runbook/:section': 'x',
    },
  };
}
