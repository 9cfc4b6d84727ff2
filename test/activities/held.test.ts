/** A charge that a brake held for longer than the gateway remembers keys: it is made once the brake lets go, and made once. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { engageBrake, releaseBrake } from '../../domain/brakes.js';
import { openLedgers, type TestLedgers } from '../reconciliation/support.js';
import { charge, failureOf, finish, refund, unwind } from './undo.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Longer than a key is remembered. */
const HELD_MS = 25 * HOUR_MS;
const LIST = 'GET /v1/payment_intents';

let b: TestLedgers;
afterEach(() => b.stop());

type Brake = 'charging' | 'spending';
const word = (brake: Brake) => ({ brake, operator: 'op-7', reason: 'ticket 4711' });
const engage = (brake: Brake) =>
  engageBrake(b.db, { ...word(brake), ...(brake === 'spending' && { limits: { USD: 0 } }) });
const isHeld = async (orderId: string, attempt = 1) =>
  expect((await failureOf(charge(b, orderId, { attempt }))).failure.type).toBe('ChargingHeld');

/** What was done until now was done when the brake was engaged: by our books, whose clock is not to be set. */
async function timePasses(orderId: string): Promise<void> {
  const held = `${HELD_MS} milliseconds`;
  await b.db.$transaction(async (tx) => {
    await tx.$executeRaw`SET LOCAL session_replication_role = replica`; // the log takes no change from anyone else
    await tx.$executeRaw`UPDATE saga_log SET at = at - ${held}::interval WHERE order_id = ${orderId}::uuid`;
  });
  await b.db.$executeRaw`UPDATE orders SET created_at = created_at - ${held}::interval WHERE id = ${orderId}::uuid`;
  await b.db
    .$executeRaw`UPDATE charge_attempts SET began_at = began_at - ${held}::interval, ended_at = ended_at - ${held}::interval
    WHERE order_id = ${orderId}::uuid`;
}
/** Others sell meanwhile, and under the limit so do we. */
async function othersCharge(count: number): Promise<void> {
  for (let made = 0; made < count; made += 50)
    await Promise.all(Array.from({ length: 50 }, (_, i) => b.charged({ cart: `${made + i}` })));
}
const searchIsLate = () => b.fault({ mode: 'empty_page', route: 'search' });
const paymentOf = (orderId: string) => b.db.payment.findUnique({ where: { orderId } });

test.each<Brake>(['charging', 'spending'])(
  'an order that %s held for a day is charged at its first try, however much the account has taken meanwhile',
  async (brake) => {
    b = await openLedgers({ aheadMs: -HELD_MS });
    const { id } = await b.pending();
    await engage(brake);
    await isHeld(id);
    await timePasses(id);
    b.setClock(-HELD_MS / 2);
    await othersCharge(1_500);
    b.setClock(0);
    await isHeld(id, 2); // somebody has asked for it
    await releaseBrake(b.db, word(brake));
    await searchIsLate();
    await b.fault({ mode: 'slow', route: 'list', delayMs: 300 });
    await b.requests();
    await charge(b, id, { attempt: 3, limitMs: 5_000 });
    expect((await b.requests())[LIST]).toBeLessThanOrEqual(2); // the minutes around its hold, and the last ones
    expect(await paymentOf(id)).toMatchObject({ status: 'CHARGED' });
    expect(await b.ledger(id)).toMatchObject({ captured: 1_000, net: 1_000 });
  },
);

/** Its worker died before it could note that it had tried, and then the brake was engaged. */
describe('an order that was charged before the brake was engaged, of which nobody has heard', () => {
  async function chargedUnheard(landsMs: number): Promise<string> {
    b = await openLedgers({ aheadMs: -HELD_MS });
    const { id } = await b.pending();
    b.setClock(-HELD_MS + landsMs);
    await b.gateway.charge(b.request(id)); // under the order's key
    await engage('charging');
    await isHeld(id);
    await timePasses(id);
    b.setClock(0);
    await releaseBrake(b.db, word('charging'));
    await searchIsLate();
    return id;
  }
  const ARRIVED: [string, number][] = [
    ['when it was sent', 0],
    ['4 minutes after the first hold', 4 * MINUTE_MS],
  ];

  test.each(ARRIVED)('is not charged again (it arrived %s)', async (_name, landsMs) => {
    const id = await chargedUnheard(landsMs);
    await charge(b, id, { attempt: 2 });
    expect(await paymentOf(id)).toMatchObject({ status: 'CHARGED' });
    expect(await b.ledger(id)).toMatchObject({ captured: 1_000, net: 1_000 });
  });

  test.each(ARRIVED)('has its money back when it is given up (it arrived %s)', async (_name, landsMs) => {
    const id = await chargedUnheard(landsMs);
    await unwind(b, id);
    expect((await refund(b, id)).undone).toBe('done');
    expect(await finish(b, id)).toBe('CANCELLED');
    expect(await b.ledger(id)).toMatchObject({ captured: 1_000, net: 0 });
  });
});
