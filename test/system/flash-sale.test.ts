/**
 * A flash sale: far more orders at once than there is stock. Exactly the stock is sold, all other orders are cancelled for that reason,
 * and cost nothing. 250 orders of 20 pieces; 10,000 of 100 under `FULL=1`.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Order, ProblemError } from '../../clients/typescript/client.js';
import { expectRightFromOutside } from '../support/invariants.js';
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
const ORDERS = FULL ? 10_000 : 250;
const STOCK = FULL ? 100 : 20;
/** Connections side by side; each posts its next order as soon as it has its answer. */
const BUYERS = FULL ? 1_000 : 125;
/** Two busy cores finish some twenty orders a second. */
const FINAL_LIMIT_MS = 60_000 + ORDERS * 100;

/** As the service asks for. */
const RETRY_AFTER_MS = 2_000;

let installation: Installation;
let running: Running;
let client: ApiClient;
beforeAll(async () => {
  installation = await newInstallation();
  running = await launch(installation);
  client = clientOf(installation);
  await client.stock('HOT', STOCK);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await installation?.remove();
}, 30_000);

/** As a buyer's program does: while the service says that it is busy, the same request again, under the same key. */
async function buy(key: string): Promise<Order> {
  let notBefore = 0;
  const outcome = await eventually(
    `${key} is accepted`,
    async () => {
      if (performance.now() < notBefore) return undefined;
      try {
        return await client.post({ HOT: 1 }, 'pm_card_visa', { 'idempotency-key': key });
      } catch (err) {
        if (!(err instanceof ProblemError) || err.status !== 503) return err as Error;
        notBefore = performance.now() + RETRY_AFTER_MS;
        return undefined;
      }
    },
    FINAL_LIMIT_MS,
  );
  if (outcome instanceof Error) throw outcome;
  return outcome;
}

test(
  `of ${ORDERS} orders of one piece exactly ${STOCK} are confirmed, and the others are refused and cost nothing`,
  async () => {
    const accepted: Order[] = [];
    await Promise.all(
      Array.from({ length: BUYERS }, async (_, me) => {
        for (let i = me; i < ORDERS; i += BUYERS) accepted.push(await buy(`sale-${i}`));
      }),
    );
    expect(new Set(accepted.map((order) => order.id)).size).toBe(ORDERS);

    await eventually('no order is pending', async () => (await client.list('PENDING', 1)).length === 0, FINAL_LIMIT_MS);
    const final = await client.list();
    const count = (how: string) => final.filter((order) => (order.cancellation?.reason ?? order.status) === how).length;
    expect({ confirmed: count('CONFIRMED'), outOfStock: count('OUT_OF_STOCK'), all: final.length }).toEqual({
      confirmed: STOCK,
      outOfStock: ORDERS - STOCK,
      all: ORDERS,
    });
    expect(await client.sku('HOT')).toMatchObject({ onHand: STOCK, available: 0, reserved: 0, sold: STOCK });
    const paid = [...(await client.ledger()).values()].filter(({ net }) => net > 0);
    expect({ charges: paid.length, money: paid.reduce((sum, { net }) => sum + net, 0) }).toEqual({
      charges: STOCK,
      money: STOCK * 1_000,
    });
    await expectRightFromOutside(client, final);
  },
  FINAL_LIMIT_MS + 300_000,
);
