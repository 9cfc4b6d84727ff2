/** The console's first screen in a real Chromium, over real sagas: calm, a cause, several, and what mends them. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { AWAY } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { picture } from './support/pictures.js';
import { type ConsoleStack, SHORT, startConsoleStack } from './support/stack.js';

type Overview = {
  calm: { isCalm: boolean; since: string | null };
  causes: {
    id: string;
    kind: string;
    count: number | null;
    atStake: object[];
    unwindsAt: string | null;
    before: object | null;
  }[];
  minutes: { accepted: number; confirmed: number; cancelled: number }[];
  neighbours: { name: string; state: string }[];
};

let s: ConsoleStack;
beforeAll(async () => {
  s = await startConsoleStack();
});
afterEach(() => s.heal());
afterAll(() => s?.stopAll());

const overview = async () => (await s.api.get<Overview>('/admin/overview')).body;
const untilKnown = <T>(what: string, question: (told: Overview) => T | false | undefined) =>
  eventually(what, async () => question(await overview()));

describeWithChromium('the first screen', (open) => {
  test('shows calm as calm, since when, and that every neighbour answers', async () => {
    const { body } = await s.api.place({}, { prefer: 'wait=25' });
    expect(body.status).toBe('CONFIRMED');
    await untilKnown('the order is counted', ({ minutes }) => minutes.some(({ confirmed }) => confirmed > 0));
    const { page } = await open(s.api.url);
    await page.getByText('All is calm').waitFor();
    await page.getByText(/nothing has been wrong since/).waitFor();
    for (const name of ['Payment gateway', 'Postgres', 'Temporal', 'Workers'])
      await page.getByRole('row', { name: new RegExp(`${name}.* up `) }).waitFor();
    await page
      .getByText(/1 accepted, 1 confirmed, 0 cancelled/)
      .first()
      .waitFor();
    await expectAccessible(page);
    await picture(page, 'now-calm');
  });

  test('a gateway that goes away is one cause, with how many, what is at stake and when they unwind; it goes by itself', async () => {
    const { page } = await open(s.api.url);
    await page.getByText('All is calm').waitFor();
    await s.fault({ route: 'all', mode: 'down' });
    const sagas = await Promise.all([1, 2, 3].map(() => s.place({ KEYBOARD: 2 }, { policy: SHORT })));
    const row = page.getByRole('row', { name: /chargePayment fails: the payment gateway answers 503/ });
    await row.getByText('3 sagas').waitFor({ timeout: 20_000 });
    await row.getByText('USD 60.00').waitFor();
    await row.getByText(/\+3 in the last/).waitFor();
    await row.getByText(/^9 min \d+ s$/).waitFor();
    await page.getByRole('row', { name: /Payment gateway.*down/ }).waitFor({ timeout: 20_000 });
    await page.getByText('1 cause of trouble.').waitFor();
    const root = page.getByRole('row', { name: /The payment gateway answers 503/ });
    expect(await root.innerText()).toMatch(/3 sagas[\s\S]*USD 60.00[\s\S]*9 min/);
    await row.getByText('From that:').waitFor();
    const runbook = row.getByRole('link', { name: /^Runbook: chargePayment fails/ });
    expect(await runbook.getAttribute('href')).toBe('#/runbook/a-saga-needs-attention');
    await expectAccessible(page);
    await picture(page, 'now-one-cause');
    await s.heal();
    await Promise.all(sagas.map(({ saga }) => saga.signal('retry')));
    await Promise.all(sagas.map(({ result }) => result()));
    await page.getByText('All is calm').waitFor({ timeout: 20_000 });
    await page.getByText(/All is calm, for \d+ s/).waitFor();
  });

  test('a process that has just started says no trend of what was there before it', async () => {
    await s.fault({ route: 'charge', mode: 'down' });
    const { order, saga, result } = await s.place({ KEYBOARD: 1 }, { policy: SHORT });
    await eventually('it is parked', async () => {
      const { body } = await s.api.get<{ sagas?: { orderId: string }[] }>('/admin/sagas');
      return body.sagas?.some(({ orderId }) => orderId === order.id);
    });
    let isThere = false;
    const fresh = await s.startApi({ temporal: { ...AWAY, client: () => (isThere ? s.client : undefined) } });
    try {
      const look = async () => (await fresh.get<Overview>('/admin/overview')).body;
      await eventually('it has seen all but the sagas', async () =>
        (await look()).neighbours.some(({ name, state }) => name === 'Payment gateway' && state !== 'unknown'),
      );
      isThere = true;
      const parked = await eventually('it has seen them, too', async () =>
        (await look()).causes.find(({ kind }) => kind === 'sagas'),
      );
      expect(parked).toMatchObject({ count: 1, before: null });
      const { page } = await open(fresh.url);
      const row = page.getByRole('row', { name: /chargePayment.*1 saga/ });
      await row.getByText(/as many as \d+ s ago/).waitFor();
    } finally {
      await fresh.stop();
      await s.heal();
      await saga.signal('retry');
    }
    await result();
  });

  test('several causes at once: each with its numbers, what explains others first, and brakes as what is meant', async () => {
    await s.db.$executeRaw`
      INSERT INTO reconciliation_findings (kind, gateway_reference, order_id, amount, currency, action)
      VALUES ('ORPHAN_CHARGE', 'pi_1', 'nobody', 4200, 'EUR', 'reported'), ('ORPHAN_CHARGE', 'pi_2', 'nobody', 99, 'JPY', 'reported'),
        ('DISPUTED', 'pi_3', 'nobody', 12900, 'USD', 'reported'), ('REFUND_FAILED', 'pi_4', 'nobody', 800, 'USD', 'reported'),
        ('ACCOUNT_HELD', 'account', '', 0, '', 'reported')`;
    await s.api.send('POST', '/admin/brakes/accepting/engage', { reason: 'stock is being counted' });
    const { page } = await open(s.api.url);
    const row = page.getByRole('row', { name: /The gateway’s ledger and ours differ: ORPHAN_CHARGE/ });
    await row.getByText('2 findings').waitFor();
    expect(await row.innerText()).toMatch(/EUR 42.00 · JPY 99/);
    await page.getByRole('row', { name: /No orders are accepted, because anonymous holds it back/ }).waitFor();
    await page.getByRole('heading', { name: 'Brakes' }).waitFor();
    expect((await overview()).causes.find(({ id }) => id === 'findings/ACCOUNT_HELD')?.atStake).toEqual([]);
    await expectAccessible(page);
    await picture(page, 'now-causes');
    const first = (await overview()).causes.map(({ kind }) => kind);
    expect(first.indexOf('findings')).toBeLessThan(first.indexOf('brake'));
    await page.goto(`${s.api.url}/console/#/findings`);
    await page
      .getByRole('row', { name: /ACCOUNT_HELD.*Needs somebody.*no money/ })
      .first()
      .waitFor();
    await page.goto(`${s.api.url}/console/#/`);
    await s.api.send('POST', '/admin/brakes/accepting/release', { reason: 'counted' });
    await s.db.$executeRaw`UPDATE reconciliation_findings SET action = 'refunded'`;
    await page.getByText('All is calm').waitFor();
  });

  test('rows stay where they are while the pointer is among them, and what is new waits', async () => {
    await s.api.send('POST', '/admin/brakes/accepting/engage', { reason: 'stock is being counted' });
    const { page } = await open(s.api.url);
    const braked = page.getByRole('row', { name: /No orders are accepted/ });
    await braked.waitFor();
    await braked.hover();
    await s.db.$executeRaw`
      INSERT INTO reconciliation_findings (kind, gateway_reference, order_id, amount, currency, action)
      VALUES ('ORPHAN_CHARGE', 'pi_3', 'nobody', 4200, 'EUR', 'reported')`;
    const fresh = page.getByRole('button', { name: 'Show 1 new row' });
    await fresh.waitFor();
    const rows = page.getByRole('region', { name: 'What is wrong, by cause' }).getByRole('row');
    expect(await rows.count()).toBe(2);
    await fresh.click();
    await page.getByRole('row', { name: /ORPHAN_CHARGE/ }).waitFor();
    await s.api.send('POST', '/admin/brakes/accepting/release', { reason: 'counted' });
    await s.db.$executeRaw`UPDATE reconciliation_findings SET action = 'refunded'`;
  });
});
