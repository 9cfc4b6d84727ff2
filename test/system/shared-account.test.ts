/**
 * A shop whose payment account is not its own alone: strangers charge on it all the time, in the names of orders, too; refunds are
 * sent back days later, or always; people give goodwill refunds by hand; lists are slow, refused, with absurd Retry-After;
 * events are lost and repeated. 120 orders; 2,000 under `FULL=1`.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Order } from '../../clients/typescript/client.js';
import { type Cli, cliOf } from '../ops/cli.js';
import { expectRight } from '../support/invariants.js';
import { ledgersOf, readCharges, readFacts } from '../support/ledgers.js';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';

const FULL = process.env['FULL'] === '1';
const ORDERS = FULL ? 2_000 : Number(process.env['SOAK'] ?? 120);
const CLIENTS = 8;
/** Two busy cores finish some twenty orders a second; the refunds of the last one must have failed, and been made again. */
const FINAL_LIMIT_MS = 120_000 + ORDERS * 100;
const PRICE = 39_800;
const GOODWILL = 500;

/** What becomes of an order, by its number; shares are those of a bad week. */
const FATES = {
  kept: 'pm_card_visa',
  keptAfterTrouble: 'pm_sandbox_error_after_charge',
  cancelled: 'pm_card_pendingRefund',
  goodwillThenCancelled: 'pm_card_visa',
  /** The bank sends the first refund back, and takes the second. */
  sentBackOnce: 'pm_card_visa',
  /** The card is closed: every refund comes back. */
  sentBackAlways: 'pm_card_refundFail',
  declined: 'pm_card_chargeDeclined',
} as const;
type Fate = keyof typeof FATES;
const SHARES: Fate[] = [
  ...Array<Fate>(8).fill('kept'),
  ...Array<Fate>(2).fill('keptAfterTrouble'),
  ...Array<Fate>(3).fill('cancelled'),
  ...Array<Fate>(3).fill('goodwillThenCancelled'),
  ...Array<Fate>(2).fill('sentBackOnce'),
  'sentBackAlways',
  'declined',
];

let installation: Installation;
let running: Running;
let client: ApiClient;
let postgres: pg.Pool;
let ops: Cli;
beforeAll(async () => {
  installation = await newInstallation({
    RECONCILE_EVERY: '2s',
    REFUND_CHECK_EVERY: '3s',
    REFUND_RECHECK_EVERY: '10s',
    RECONCILE_ACTIONS_PER_HOUR: '100000',
    COMPENSATION_ATTENTION_AFTER: '20s',
    SANDBOX_REFUND_SETTLES_AFTER: '2s',
    SANDBOX_REFUND_FAILS_AFTER: '3s',
  });
  running = await launch(installation);
  client = clientOf(installation);
  await client.stock('A', ORDERS * 2, PRICE);
  const databaseUrl = readFileSync(join(installation.dataDir, 'database-url'), 'utf8').trim();
  postgres = new pg.Pool({ connectionString: databaseUrl, max: CLIENTS });
  ops = cliOf({ databaseUrl, env: { address: `127.0.0.1:${installation.env['TEMPORAL_PORT']}` } });
}, 120_000);
afterAll(async () => {
  await postgres?.end();
  await running?.stop();
  await installation?.remove();
}, 30_000);

/** Strangers meet the same faults, and try again. */
const gateway = (path: string, form: Record<string, string> = {}): Promise<{ id: string }> =>
  eventually(`${path} is answered`, async () => {
    const answer = await fetch(`${installation.sandbox}${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk_test_strangers' },
      body: new URLSearchParams(form),
    });
    if (answer.status === 429 || answer.status >= 500) return undefined;
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { id: string };
  });
const charge = (form: Record<string, string>) =>
  gateway('/v1/payment_intents', {
    amount: '5500',
    currency: 'usd',
    confirm: 'true',
    payment_method: 'pm_card_visa',
    ...form,
  });

/** One of each kind. @param order of ours, in whose name some of them act */
async function strangersCharge(order: Order): Promise<string[]> {
  const made = [
    await charge({}),
    await charge({ 'metadata[orderId]': `WOO-${order.id.slice(0, 4)}` }),
    await charge({ 'metadata[orderId]': randomUUID() }),
    await charge({ 'metadata[orderId]': order.id }),
    await charge({
      'metadata[orderId]': order.id,
      'metadata[installationId]': 'another-shop',
      'metadata[purpose]': 'order',
      amount: `${PRICE}`,
    }),
    await charge({ 'metadata[orderId]': 'WOO-1', payment_method: 'pm_card_authenticationRequired' }),
  ];
  return made.map(({ id }) => id);
}

const FAULTS = [
  { mode: 'busy', route: 'page', retryAfter: '86400', count: 10 },
  { mode: 'slow', route: 'list', delayMs: 400, count: 20 },
  { mode: 'busy', route: 'refund', retryAfter: 'Infinity', count: 5 },
  { mode: 'down', route: 'charge', retryAfter: '1e400', count: 5 },
  { mode: 'error', route: 'refund', count: 2 },
  { mode: 'repeat_page', count: 2 },
  { mode: 'webhook_lost', count: 20 },
  { mode: 'webhook_repeated', count: 20 },
];

const chargeOf = async (orderId: string): Promise<string> => {
  const { rows } = await postgres.query('SELECT gateway_reference AS reference FROM payments WHERE order_id = $1', [
    orderId,
  ]);
  return (rows[0] as { reference: string }).reference;
};
const cancel = async (id: string) => {
  const answer = await client.send('POST', `/orders/${id}/cancel`, { reason: 'changed my mind' });
  if (answer.status !== 202) throw new Error(`cancelling ${id}: ${answer.status} ${await answer.text()}`);
};
const isCancelled = (id: string) =>
  eventually(`${id} is cancelled`, async () => (await client.order(id)).status === 'CANCELLED', FINAL_LIMIT_MS);

async function placeOrder(fate: Fate): Promise<Order> {
  const { id } = await client.post({ A: 1 }, FATES[fate]);
  const order = await client.final(id, FINAL_LIMIT_MS);
  if (fate === 'kept' || fate === 'keptAfterTrouble' || fate === 'declined') return order;
  if (fate === 'goodwillThenCancelled')
    await gateway('/v1/refunds', { payment_intent: await chargeOf(id), amount: `${GOODWILL}` });
  await cancel(id);
  await isCancelled(id);
  if (fate === 'sentBackOnce') await sendBack(await chargeOf(id));
  return order;
}

/** Long after the order's end, the bank sends the money back. */
async function sendBack(reference: string): Promise<void> {
  const { data } = await eventually('the refunds are listed', async () => {
    const answer = await fetch(`${installation.sandbox}/v1/refunds?payment_intent=${reference}`, {
      headers: { authorization: 'Bearer sk_test_strangers' },
    });
    return answer.ok && ((await answer.json()) as { data: { id: string }[] });
  });
  const sent = await fetch(`${installation.sandbox}/sandbox/refunds/${data[0]?.id}/fail`, { method: 'POST' });
  if (!sent.ok) throw new Error(await sent.text());
}

test(
  'money is right to the cent, nothing of strangers is touched, and nothing is stuck unseen',
  async () => {
    const fateOf = new Map<string, Fate>();
    const strangers: string[] = [];
    await Promise.all(
      Array.from({ length: CLIENTS }, async (_, me) => {
        for (let i = me; i < ORDERS; i += CLIENTS) {
          const fate = SHARES[i % SHARES.length] as Fate;
          if (i % 10 === 0) await client.fault(FAULTS[(i / 10) % FAULTS.length] as object);
          const order = await placeOrder(fate);
          fateOf.set(order.id, fate);
          if (i % 8 === 0) strangers.push(...(await strangersCharge(order)));
        }
      }),
    );
    await client.heal();
    const of = (...fates: Fate[]) => [...fateOf].filter(([, fate]) => fates.includes(fate)).map(([id]) => id);
    const given = new Set<Fate>(['cancelled', 'goodwillThenCancelled', 'sentBackOnce', 'declined']);

    const holds = async () => {
      const charges = await readCharges(installation.sandbox);
      const ours = charges.filter(({ reference }) => !strangers.includes(reference));
      const held = (id: string) =>
        ours.filter(({ orderId }) => orderId === id).reduce((sum, each) => sum + each.holds, 0);
      return { charges, ours, held };
    };
    await eventually(
      'all money that can go back has',
      async () => {
        const { held } = await holds();
        const still = [...fateOf].filter(([id, fate]) => given.has(fate) && held(id) !== 0);
        if (still.length > 0) throw new Error(`${still.length} still hold money: ${still.slice(0, 3).join('; ')}`);
        return true;
      },
      FINAL_LIMIT_MS,
    );
    const lost = of('sentBackAlways');
    const reported = await eventually(
      'what no refund can give back is reported',
      async () => {
        const { document } = await ops.json('reconcile');
        const { open } = document as { open: { kind: string; orderId: string; reference: string; action: string }[] };
        const failed = open.filter(({ kind, action }) => kind === 'REFUND_FAILED' && action === 'reported');
        return lost.every((id) => failed.some(({ orderId }) => orderId === id)) && open;
      },
      FINAL_LIMIT_MS,
    );
    // Of every one of them with its charge, and of nothing else.
    expect(reported.map(({ orderId }) => orderId).sort()).toEqual(lost.sort());
    expect(reported.every(({ reference }) => reference.startsWith('pi_'))).toBe(true);
    await eventually('no saga is listed as stuck any more', async () => {
      const { sagas } = await client.get<{ sagas: unknown[] }>('/admin/sagas');
      return sagas.length === 0;
    });

    const { charges, ours, held } = await holds();
    for (const id of of('kept', 'keptAfterTrouble')) expect(held(id)).toBe(PRICE);
    for (const id of lost) expect(held(id)).toBe(PRICE);
    for (const reference of strangers) {
      const theirs = charges.find((each) => each.reference === reference);
      expect(theirs?.refunds).toEqual([]);
      expect(['succeeded', 'requires_action']).toContain(theirs?.status);
    }
    const facts = await readFacts(async (sql) => (await postgres.query(sql)).rows);
    const mine = [...fateOf.keys()].filter((id) => !lost.includes(id));
    expectRight(ledgersOf({ ...facts, charges: ours }, mine));
  },
  FINAL_LIMIT_MS * 4,
);
