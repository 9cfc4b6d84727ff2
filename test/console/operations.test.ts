/** Operations in a real browser: previewed, started with the number typed, seen to pause by itself, resumed and aborted; on sagas that are stuck. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pLimit from 'p-limit';
import type { Page } from 'playwright-core';
import type { Operation } from '../../contracts/operations.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { startOperations } from '../../workers/operations/runner.js';
import { AWAY, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { picture } from './support/pictures.js';

const MANY = 12;
const LIMIT_MS = 180_000;
const policy = { ...PATIENT, stepRetryBudgetMs: 2_500, compensationAttentionAfterMs: 1_200 };

let s: SagaStack;
let api: TestApi;
let stopRunner: () => Promise<void>;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'PLENTY', 10_000);
  api = await startTestApi({
    ...{ db: s.db, databaseUrl: s.databaseUrl, temporal: { ...AWAY, client: () => s.client }, policy },
  });
  stopRunner = startOperations({
    ...{ db: s.db, keys: auditKeys([]), client: () => s.client, where: 'test/default', policy, logger: SILENT },
  });
}, LIMIT_MS);
afterEach(() => s.heal());
afterAll(async () => {
  await stopRunner?.();
  await api?.stop();
  await s?.stop();
});

const stuckCount = async () =>
  (await s.client.workflow.count('SagaState="NEEDS_ATTENTION" AND ExecutionStatus="Running"')).count;
async function park(count: number): Promise<void> {
  const before = await stuckCount();
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const few = pLimit(8);
  await Promise.all(Array.from({ length: count }, () => few(() => s.place({ PLENTY: 1 }, { policy }))));
  await eventually('all are parked', async () => (await stuckCount()) >= before + count, 60_000);
}
const newest = async () =>
  (await api.get<{ operations: Operation[] }>('/admin/operations?limit=1')).body.operations[0] as Operation;

async function confirm(page: Page, button: RegExp, typed?: string): Promise<void> {
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill('ticket 4711');
  const act = dialog.getByRole('button', { name: button });
  if (typed !== undefined) {
    expect(await act.getAttribute('aria-disabled')).toBe('true');
    await dialog.getByLabel(/^Type \d+ to confirm/).fill(typed);
  }
  await act.click();
  await dialog.waitFor({ state: 'detached' });
}

describeWithChromium('operations', (open) => {
  test(
    'are previewed and started with the number typed, pause by themselves where the canary fails, and go on when the cause is mended',
    async () => {
      await park(MANY);
      const { page } = await open(api.url, { view: '/operations' });
      await page.getByText('There has been no operation within 90 days.').waitFor();
      await page
        .getByLabel('Which')
        .selectOption({ label: `${MANY} sagas at chargePayment: GatewayUnknown (USD 120.00)` });
      await expectAccessible(page);
      await page.getByRole('button', { name: 'Preview' }).click();

      await page.getByRole('heading', { name: 'What it would be about' }).waitFor();
      await page.getByText('Nothing has been decided yet.').waitFor();
      expect(await page.getByRole('row').count()).toBe(MANY + 1);
      await expectAccessible(page);
      await picture(page, 'operation-preview', 900);
      await page.getByRole('button', { name: `Retry ${MANY} sagas …` }).click();
      await expectAccessible(page);
      await picture(page, 'operation-confirm', 700);
      await confirm(page, /^Retry 12 sagas/, `${MANY}`);

      await page.getByText('It has paused by itself: the canary has failed.').waitFor({ timeout: 60_000 });
      expect(await newest()).toMatchObject({
        state: 'paused',
        counts: { failed: 1, open: MANY - 1 },
        reason: 'ticket 4711',
      });
      await expectAccessible(page);
      await picture(page, 'operation-canary', 900);
      await eventually('the canary has parked again', async () => (await stuckCount()) === MANY, 30_000);
      await s.heal();
      await page.getByRole('button', { name: 'Resume …' }).click();
      await confirm(page, /^Resume it/);
      await page.getByText(`${MANY} of ${MANY} concluded`).waitFor({ timeout: 60_000 });
      await page.getByLabel('In which state').selectOption('failed');
      await eventually('the one that failed is shown', async () => (await page.getByRole('row').count()) === 2);
      await page.getByRole('button', { name: 'Decide on what failed: preview 1 saga' }).click();
      await page.getByRole('button', { name: 'Retry 1 saga …' }).click();
      await confirm(page, /^Retry 1 saga/, '1');
      await page.getByText('1 of 1 concluded').waitFor({ timeout: 60_000 });
      expect(await newest()).toMatchObject({ state: 'finished', counts: { reached: 1 } });
      await page.goto(`${api.url}/console/#/operations`);
      await page.getByRole('heading', { name: 'A new one' }).waitFor();
      await picture(page, 'operations');
    },
    LIMIT_MS,
  );

  test(
    'are paused and aborted from the screen, while somebody else looks on; and by keyboard alone',
    async () => {
      await park(4);
      await s.heal();
      const preview = await api.send<Operation>('POST', '/admin/operations/preview', {
        action: 'compensate',
        sagas: {},
      });
      const { id, counts } = preview.body;
      const slowly = { canary: [], ratePerSecond: 0.2, reason: 'ticket 4711' };
      await api.send('POST', '/admin/operations', { preview: id, expectedCount: counts.open, ...slowly });
      const [{ page }, { page: other }] = [
        await open(api.url, { view: `/operations/${id}` }),
        await open(api.url, { view: '/operations', theme: 'dark' }),
      ];
      await page.getByText(new RegExp(`[1-9]\\d* of ${counts.open} concluded`)).waitFor({ timeout: 60_000 });
      await page.getByRole('button', { name: 'Pause …' }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.getByLabel('Reason').fill('ticket 4711');
      await page.keyboard.press('Enter');
      await page.getByText('anonymous has paused it: ticket 4711.').waitFor();
      await other.getByText('paused by anonymous').waitFor();
      await page.getByRole('button', { name: 'Abort …' }).click();
      await confirm(page, /^Abort it/);
      await page.getByText(`${counts.open} of ${counts.open} concluded`).waitFor();
      await expectAccessible(page);
      const ended = await newest();
      expect(ended).toMatchObject({ id, state: 'aborted', counts: { open: 0 }, abortReason: 'ticket 4711' });
      expect(ended.counts.skipped).toBe(counts.open - ended.counts.reached);
    },
    LIMIT_MS,
  );

  test('come from what was chosen among the sagas', async () => {
    await park(1);
    const { page } = await open(api.url, { view: '/sagas' });
    await page.getByRole('checkbox').first().check();
    await page.getByRole('button', { name: 'Decide on 1 saga …' }).last().click();
    await page.getByRole('heading', { name: 'A new one' }).waitFor();
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('heading', { name: 'What it would be about' }).waitFor();
    await page.getByRole('row').nth(1).waitFor();
    expect((await page.getByRole('row').count()) - 1).toBe(1);
    await page.reload();
    await page.getByRole('heading', { name: 'What it would be about' }).waitFor();
  }, 60_000);

  test('that do not exist say so, and a selection of nothing keeps what was typed', async () => {
    const { page, show } = await open(api.url, {
      view: '/operations/01a1fc4b-2622-70f0-8b6b-725674f9c1d0',
      requestsMayFail: true,
    });
    await page.getByText('There is no operation').first().waitFor();
    await show('/operations');
    const ids = page.getByLabel('Ids of orders');
    await ids.fill('01a1fc4b-2622-70f0-8b6b-725674f9c1d0');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByText('There is no 01a1fc4b-2622-70f0-8b6b-725674f9c1d0.').waitFor();
    expect(await ids.inputValue()).toBe('01a1fc4b-2622-70f0-8b6b-725674f9c1d0');
  });
});
