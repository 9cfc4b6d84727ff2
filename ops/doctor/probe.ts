/**
 * The probe: a real order that can come to nothing. It is accepted and cancelled by one transaction, so that no step of it can ever
 * take effect, whoever dies in between: its row says "unwinding" from its first moment. So it holds no stock, and no money
 * moves. What it shows: that orders are accepted, a relay starts sagas, a worker ends them, and destinations take events.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import { orderSagaId } from '../../contracts/ids.js';
import type { Order } from '../../contracts/orders.js';
import { SAGA_FAILURE, SAGA_STEP } from '../../contracts/saga.js';
import { acceptOrder } from '../../domain/acceptance.js';
import type { Change } from '../../domain/audit/acts.js';
import { readBrakes } from '../../domain/brakes.js';
import type { Database } from '../../domain/database.js';
import { listOwing } from '../../domain/destinations.js';
import { listInventory } from '../../domain/inventory.js';
import { readOrder, requestCancellation } from '../../domain/orders.js';
import { readPaymentDue } from '../../domain/payments.js';
import { refusePrice } from '../../domain/prices.js';
import { PROBE_CUSTOMER, probeCorrelationId } from '../../domain/probes.js';
import { duration } from '../output.js';
import { waitOf } from '../../sagas/waits.js';
import type { Temporal } from '../connections.js';
import type { Recorder } from '../../sagas/deciding/recorder.js';
import { describe } from '../../sagas/deciding/asking.js';
import { whereItWaits } from './causes.js';
import { type Check, check, fail, type Finding, ok, skipped } from './checks.js';

/** The sweep finds it within 5 s; then a saga without steps takes milliseconds, and events leave within 2 s. */
const END_LIMIT_MS = 20_000;
const DELIVERY_LIMIT_MS = 10_000;
const POLL_MS = 200;
/** Each wait ends by itself; this is for a question that is not answered. */
const MARGIN_MS = 5_000;
const CATALOGUE_MAX = 1_000;
const WHY = 'a probe of the operators’ doctor: no goods, no money';

/** @returns what came of it, link by link of the chain */
export async function checkWithProbe(
  { db, temporal }: { db: Database; temporal: Temporal },
  recorder: Recorder,
  operator: string,
): Promise<Check[]> {
  const placed: { id?: string; atMs: number } = { atMs: performance.now() };
  const first = await check('probe order', async () => {
    if ((await readBrakes(db)).some(({ brake }) => brake === 'accepting'))
      return skipped('operators have stopped accepting orders: ops brakes');
    const order = await probeOrder(db);
    if (order === undefined) return skipped('the catalogue has nothing that can be sold');
    placed.atMs = performance.now();
    if (!(await recorder.act(db, probing(db, order, operator)))) return fail('prices are changing just now: once more');
    placed.id = order.id;
    return ok(`${order.id} is accepted, and cancelled at once`);
  });
  const { id, atMs } = placed;
  if (id === undefined) return [first];
  const end = await check('probe saga', () => awaitEnd({ db, temporal }, id, atMs), END_LIMIT_MS + MARGIN_MS);
  if (end.status !== 'ok') return [first, end];
  const leftovers = await check('probe leaves nothing', () => findLeftovers(db, id));
  const delivery = await check('probe delivery', () => awaitDelivery(db, id), DELIVERY_LIMIT_MS + MARGIN_MS);
  return [first, end, leftovers, delivery];
}

async function probeOrder(db: Database): Promise<Order | undefined> {
  const item = (await listInventory(db, undefined, CATALOGUE_MAX)).find((sku) => refusePrice(sku) === undefined);
  if (item === undefined) return undefined;
  const { sku, unitPrice, currency } = item;
  const now = new Date().toISOString();
  const id = uuidv7();
  return {
    id,
    status: 'PENDING',
    customerId: PROBE_CUSTOMER,
    items: [{ sku, quantity: 1, unitPrice }],
    total: { amount: unitPrice, currency },
    createdAt: now,
    updatedAt: now,
    correlationId: probeCorrelationId(id),
  };
}

/** Both or neither, before anybody sees the order. The payment method would be taken by no gateway. */
const probing = (outside: Database, order: Order, actor: string): Change<boolean> => ({
  before: async () => null,
  change: async (tx) => {
    const { outcome } = await acceptOrder(tx, { order, paymentMethod: 'pm_ops_doctor' }, undefined, outside);
    if (outcome !== 'accepted') return false;
    await requestCancellation(tx, order.id, { reason: 'OPERATOR', actor, message: WHY, detail: WHY });
    return true;
  },
  effect: (isPlaced) =>
    isPlaced
      ? { resource: order.id, reason: WHY, before: null, after: { status: 'PENDING', unwindingReason: 'OPERATOR' } }
      : null,
});

async function awaitEnd(
  { db, temporal }: { db: Database; temporal: Temporal },
  id: string,
  beganMs: number,
): Promise<Finding> {
  for (;;) {
    const order = await readOrder(db, id);
    const tookMs = performance.now() - beganMs;
    if (order?.status === 'CANCELLED') return ok(`started and ended within ${duration(tookMs)}`);
    if (tookMs > END_LIMIT_MS) {
      const started = await db.order.findUnique({ where: { id }, select: { sagaStartedAt: true } });
      const where = started?.sagaStartedAt ? await readWait(temporal, id) : 'no relay starts it';
      return fail(`${order?.status} after ${duration(tookMs)}: ${where}: ops order ${id}`);
    }
    await pause(POLL_MS);
  }
}

/** What it waits for, from Temporal's server: no worker is asked, since it may be what is missing. */
async function readWait(temporal: Temporal, id: string): Promise<string> {
  const saga = await describe(temporal, orderSagaId(id)).catch(() => null);
  if (saga === null) return 'what its saga waits for is not known';
  const { typedSearchAttributes: marks } = saga;
  return whereItWaits(waitOf(saga), { step: marks.get(SAGA_STEP), failure: marks.get(SAGA_FAILURE) });
}

async function findLeftovers(db: Database, id: string): Promise<Finding> {
  const [held, { status }, events] = await Promise.all([
    db.reservation.count({ where: { orderId: id, state: { not: 'RELEASED' } } }),
    readPaymentDue(db, id),
    db.event.findMany({ where: { orderId: id }, select: { type: true }, orderBy: { sequence: 'asc' } }),
  ]);
  const types = events.map(({ type }) => type).join(', ');
  const isUnpaid = status === null || status === 'VOIDED';
  return held === 0 && isUnpaid
    ? ok(`no stock held, no money moved; its events: ${types}`)
    : fail(`it holds ${held} reservations, its payment is ${status}: a bug; ops order ${id}`);
}

async function awaitDelivery(db: Database, id: string): Promise<Finding> {
  const began = performance.now();
  for (;;) {
    const owing = await listOwing(db, id);
    const tookMs = performance.now() - began;
    if (owing.length === 0) return ok(`no destination owes its events after ${duration(tookMs)}`);
    if (tookMs > DELIVERY_LIMIT_MS) return fail(`not delivered to ${owing.join(', ')} after ${duration(tookMs)}`);
    await pause(POLL_MS);
  }
}
