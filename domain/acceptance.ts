/**
 * Accepting an order: its customer's reference, if the client's id has none yet, the order, its lines, its first event and the answer to its Idempotency-Key become durable in one
 * statement, at the prices that the catalogue has at that moment, or none of them does. After that the order is ours to finish, whatever happens to the process.
 */
import { randomUUID } from 'node:crypto';
import type { EventData } from '../contracts/events.js';
import type { Order } from '../contracts/orders.js';
import { PLAN_VERSION } from '../contracts/plan.js';
import type { UnstartedSaga } from '../contracts/saga.js';
import { Prisma } from '../prisma/generated/client.js';
import { type Brake, isEngaged, readBrakes } from './brakes.js';
import { customerIdsOf, type IdentityKey, identityKeyOf, lookupOf, referencesFoundBy } from './customers.js';
import { type Statements, violatedUniqueKey } from './database.js';
import { isErasedNumber } from './erasure/tombstones.js';
import { claimedForOrder, type Earlier, earlierAnswer } from './idempotency.js';
import { withoutPerson } from './kept-answers.js';
import { type KeyClaim, keptWith } from './kept-claims.js';
import { orderChanged, queryChanging } from './order-changes.js';
import { insertEvent } from './outbox.js';
import { sealClientId } from './sealing/of-customers.js';
import { forgetStage, isAtStage, type Stage, stageOf } from './pseudonyms.js';

export type OrderToAccept = {
  order: Order;
  paymentMethod: string;
  traceparent?: string;
  /** What its charge is to carry of its correlation id; undefined = nothing. */
  chargeCorrelationId?: string;
};

/** What is sent to charge the order, whichever build sends it: 2 carries the installation's id (gateways/marks), 3 the correlation id, too. */
const chargeVersionOf = ({ chargeCorrelationId }: OrderToAccept) => (chargeCorrelationId === undefined ? 2 : 3);

export type Acceptance =
  /** `customer`: what the order's row holds of it: the reference, or the client's id where references have not begun. */
  | { outcome: 'accepted'; customer: string }
  /** The catalogue has another price for one of the lines, or none: nothing was done. */
  | { outcome: 'prices-changed' }
  /** The customer has an order with this externalOrderId that is not CANCELLED. */
  | { outcome: 'external-id-taken'; orderId: string }
  /** The customer had one with it before they were erased. */
  | { outcome: 'external-id-erased' }
  /** Operators have stopped accepting orders: nothing was done. */
  | { outcome: 'not-accepting'; brake: Brake }
  | Earlier;

/** Each but the first needs an order that was cancelled between two statements, and another one that took its externalOrderId. */
const TRIES_MAX = 3;
/** It changes twice in the life of a database. */
const STAGES_MAX = 10;

/**
 * The caller may have read the prices a while ago. What counts is the catalogue as this statement sees it: unless the prices
 * match, there is neither an order nor a claim. The catalogue's rows are read, not locked, for sagas change their
 * stock all the time.
 * @param claim   with the answer to keep, if the request carried an Idempotency-Key
 * @param outside where to look up what was there before, if `db` is a transaction: the statement's refusal ends that
 */
export async function acceptOrder(
  db: Statements,
  toAccept: OrderToAccept,
  claim?: KeyClaim & { response: string },
  outside: Statements = db,
): Promise<Acceptance> {
  const key = await identityKeyOf(outside);
  const reference = randomUUID();
  for (let tries = 1; ; tries++) {
    try {
      const stage = await stageOf(outside);
      const customer = await newCustomer(outside, toAccept.order, { stage, reference });
      const acceptance = await insertOrder(db, toAccept, claim, { key, stage, customer });
      if (acceptance) return acceptance;
      if (tries > STAGES_MAX) throw new Error('Bug! No stage of references is the one of this database');
      forgetStage(outside);
      continue;
    } catch (err) {
      if (violatedUniqueKey(err) !== 'orders_external_order_id_key') throw err;
    }
    // A transaction ends with such a refusal: it cannot try again.
    const isLast = outside !== db || tries === TRIES_MAX;
    const earlier = await earlierAnswer(outside, claim);
    if (earlier) return earlier;
    const first = await readHolder(outside, key, toAccept.order, !isLast);
    if (first) return { outcome: 'external-id-taken', orderId: first.id };
  }
}

/** The row that a customer gets who has none. */
type NewCustomer = { reference: string; clientId: string };
type Identities = { key: IdentityKey; stage: Stage; customer: NewCustomer };

const newCustomer = async (
  db: Statements,
  { customerId }: Order,
  { stage, reference }: { stage: Stage; reference: string },
): Promise<NewCustomer> => ({
  reference,
  clientId: stage === 'plain' ? customerId : await sealClientId(db, customerId, reference),
});
/** `lookup`: of the order's customer. */
type CustomersIdentities = Identities & { lookup: Uint8Array<ArrayBuffer> };

/** @returns undefined if the stage is another one: nothing was done */
async function insertOrder(
  db: Statements,
  toAccept: OrderToAccept,
  claim: (KeyClaim & { response: string }) | undefined,
  { key, stage, customer }: Identities,
): Promise<Acceptance | undefined> {
  const { order, paymentMethod, traceparent, chargeCorrelationId } = toAccept;
  const { items, total } = order;
  const identities = { key, stage, customer, lookup: lookupOf(key, order.customerId) };
  const admitted = claim ? Prisma.sql`claimed` : Prisma.sql`admitted`;
  const [priced] = await queryChanging<{ changed: string | null; customer: string | null; isAtStage: boolean }>(
    db,
    Prisma.sql`
    WITH ordered AS (
      SELECT * FROM unnest(${items.map((i) => i.sku)}::text[], ${items.map((i) => i.quantity)}::int[],
        ${items.map((i) => i.unitPrice)}::bigint[]) WITH ORDINALITY AS l(sku, quantity, unit_price, line_no)
    ), priced AS (
      SELECT FROM ordered l JOIN inventory i USING (sku)
      WHERE i.unit_price = l.unit_price AND i.currency = ${total.currency}
      HAVING count(*) = ${items.length}::int AND NOT ${isEngaged('accepting')}
    ), installed AS (
      ${theInstallation(stage)}
    ), admitted AS (
      SELECT FROM priced, installed WHERE ${isNumberFree(identities, order)}
    ), ${claim ? claimedForOrder(keptWith(key, stage, asKept(claim, order, stage)), order.id, Prisma.sql`admitted`) : Prisma.empty}
    ${stage === 'plain' ? clientIdAsCustomer(order, admitted) : referenceAsCustomer(identities, admitted)}, accepted AS (
      INSERT INTO orders AS o (id, customer_id, external_order_id, currency, total_amount, payment_method,
        correlation_id, traceparent, charge_version, charge_correlation_id, installation_id, plan_version, event_count, event_xid, created_at, updated_at)
      SELECT ${order.id}::uuid, customer.id, ${order.externalOrderId ?? null}, ${total.currency},
        ${total.amount}::bigint, ${paymentMethod}, ${order.correlationId}, ${traceparent ?? null},
        ${chargeVersionOf(toAccept)}::smallint, ${chargeCorrelationId ?? null}, installed.id, ${PLAN_VERSION}::smallint, 1, pg_current_xact_id()::text::bigint, ${order.createdAt}::timestamptz, ${order.createdAt}::timestamptz
      FROM customer, installed
      RETURNING id, customer_id, event_count, event_xid, correlation_id, traceparent
    ), lines AS (
      INSERT INTO order_lines (order_id, line_no, sku, quantity, unit_price)
      SELECT a.id, l.line_no, l.sku, l.quantity, l.unit_price
      FROM accepted a, ordered l
    ), event AS (
      ${insertEvent(Prisma.sql`accepted`, 'order.created', createdData(order))}
    )
    SELECT (SELECT ${orderChanged(db)} FROM accepted) AS changed, (SELECT customer_id FROM accepted) AS customer,
      EXISTS (SELECT FROM installed) AS "isAtStage" FROM priced`,
  );
  if (!priced) {
    const brake = (await readBrakes(db)).find((engaged) => engaged.brake === 'accepting');
    return brake ? { outcome: 'not-accepting', brake } : { outcome: 'prices-changed' };
  }
  if (!priced.isAtStage) return undefined;
  if (priced.customer !== null) return { outcome: 'accepted', customer: priced.customer };
  const earlier = await earlierAnswer(db, claim);
  if (earlier) return earlier;
  const holder = await readHolder(db, key, order, true);
  if (holder) return { outcome: 'external-id-taken', orderId: holder.id };
  if (await isNumberErased(db, key, order)) return { outcome: 'external-id-erased' };
  if (order.externalOrderId !== undefined) return undefined; // its holder was cancelled between two statements
  throw new Error('Bug! An order was neither accepted nor refused');
}

/** The release before, which may be beside this one until references begin, answers what is kept as it stands. */
const asKept = (claim: KeyClaim & { response: string }, order: Order, stage: Stage) =>
  stage === 'plain' ? claim : { ...claim, response: JSON.stringify(withoutPerson(order)) };

/**
 * The table's one row, which Postgres does not know to be the only one until it has analysed the table: an hour after a database was made
 * or restored, for the row changes once a minute. Reckoning with two hundred of them it would expect half a million lines of an order, find each plan that
 * knows their number so much cheaper that it plans the statement anew every time, and take longer for that than to carry it out.
 */
const theInstallation = (stage: Stage): Prisma.Sql =>
  Prisma.sql`SELECT id FROM installation WHERE ${isAtStage(stage)} LIMIT 1`;

/**
 * Whether nobody holds the order number under another name of the customer, which the unique key does not know: a reference that is being
 * erased, one that was, or the client's id in an order older than references, as long as there are any.
 */
function isNumberFree({ key, stage, lookup }: CustomersIdentities, { customerId, externalOrderId }: Order): Prisma.Sql {
  if (externalOrderId === undefined || stage === 'plain') return Prisma.sql`true`;
  const whose = stage === 'complete' ? referencesFoundBy(lookup) : customerIdsOf(key, customerId);
  return Prisma.sql`NOT ${isErasedNumber(key, lookup, externalOrderId)} AND NOT EXISTS (
    SELECT FROM (${whose}) AS whose JOIN orders o ON o.customer_id = whose.reference
    WHERE o.external_order_id = ${externalOrderId} AND o.status <> 'CANCELLED')`;
}

async function isNumberErased(db: Statements, key: IdentityKey, { customerId, externalOrderId }: Order) {
  if (externalOrderId === undefined) return false;
  const [row] = await db.$queryRaw<{ isErased: boolean }[]>`
    SELECT ${isErasedNumber(key, lookupOf(key, customerId), externalOrderId)} AS "isErased"`;
  return row?.isErased === true;
}

const clientIdAsCustomer = ({ customerId }: Order, admitted: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`customer AS (SELECT ${customerId} AS id FROM ${admitted})`;

/**
 * The row of a known customer is held until the commit: an erasure, which takes it FOR UPDATE, either waits for this order and
 * sees it, or has been before it, and then the order is another reference's. Who has lost a race for the first order of a
 * client's id finds the winner's row by the conflict.
 */
const referenceAsCustomer = ({ lookup, customer }: CustomersIdentities, admitted: Prisma.Sql): Prisma.Sql => Prisma.sql`
  known AS MATERIALIZED (
    SELECT reference FROM customers WHERE lookup = ${lookup} AND erasing_since IS NULL FOR KEY SHARE
  ), made AS (
    INSERT INTO customers AS c (reference, lookup, client_id)
    SELECT ${customer.reference}::uuid, ${lookup}, ${customer.clientId} FROM ${admitted} WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (lookup) WHERE erasing_since IS NULL DO UPDATE SET lookup = excluded.lookup
    RETURNING reference
  ), customer AS (
    SELECT coalesce((SELECT reference FROM known), (SELECT reference FROM made))::text AS id FROM ${admitted}
  )`;

function createdData({ id, externalOrderId, items, total }: Order): Prisma.Sql {
  const created: Omit<EventData['order.created'], 'customerId'> = {
    orderId: id,
    ...(externalOrderId !== undefined && { externalOrderId }),
    items,
    total,
  };
  return Prisma.sql`${JSON.stringify(created)}::jsonb || jsonb_build_object('customerId', customer_id)`;
}

/** @returns the customer's newest order with this externalOrderId; `live`: the one that is not CANCELLED, if it still is not */
async function readHolder(db: Statements, key: IdentityKey, { customerId, externalOrderId }: Order, live: boolean) {
  const [first] = await db.$queryRaw<{ id: string }[]>`
    SELECT o.id FROM (${customerIdsOf(key, customerId)}) AS whose JOIN orders o ON o.customer_id = whose.reference
    WHERE o.external_order_id = ${externalOrderId ?? null}
      ${live ? Prisma.sql`AND o.status <> 'CANCELLED'` : Prisma.empty} ORDER BY o.id DESC LIMIT 1`;
  return first;
}

const dueSaga = Prisma.sql`
  id, customer_id AS customer, correlation_id AS "correlationId", traceparent, plan_version AS "planVersion", unwinding_reason AS reason,
  CASE WHEN status = 'CONFIRMED' AND unwinding_reason IS NOT NULL THEN 'cancellation' ELSE 'order' END AS kind`;

/**
 * Sagas that are due and that no process has seen running, oldest first. An order from the future was dated by a clock that runs
 * ahead of the database's; it is due at once.
 * @param olderThanMs leaves the API its time to start them
 * @param except      orders that are left out: thousands in a burst, which an array would be searched for from its beginning, for
 *                    each order of the list; rows are hashed, however the statement was planned
 */
export async function listUnstarted(
  db: Statements,
  olderThanMs: number,
  limit: number,
  except: string[] = [],
): Promise<UnstartedSaga[]> {
  return db.$queryRaw<UnstartedSaga[]>`
    SELECT ${dueSaga} FROM orders
    WHERE saga_started_at IS NULL
      AND (created_at < now() - ${olderThanMs}::float8 * interval '1 ms' OR created_at > now())
      AND id NOT IN (SELECT unnest(${except}::uuid[]))
    ORDER BY created_at LIMIT ${limit}`;
}

/** @returns those of the orders whose due saga a process has seen running */
export async function listStarted(db: Statements, orderIds: string[]): Promise<string[]> {
  const started = await db.$queryRaw<{ id: string }[]>`
    SELECT id FROM orders WHERE id = ANY(${orderIds}::uuid[]) AND saga_started_at IS NOT NULL`;
  return started.map(({ id }) => id);
}

/** @returns the saga that this order needs to come to its end, or null if the order is final */
export async function readDueSaga(db: Statements, orderId: string): Promise<UnstartedSaga | null> {
  const [due] = await db.$queryRaw<UnstartedSaga[]>`
    SELECT ${dueSaga} FROM orders
    WHERE id = ${orderId}::uuid
      AND (status = 'PENDING' OR (status = 'CONFIRMED' AND (unwinding_reason IS NOT NULL OR forward_due)))`;
  return due ?? null;
}

/**
 * Takes sagas off the sweep's work list. A mark may come late, when the order's next saga is due already: it takes off only
 * what it is about.
 */
export async function markStarted(db: Statements, sagas: Pick<UnstartedSaga, 'id' | 'kind'>[]): Promise<void> {
  const idsOf = (kind: UnstartedSaga['kind']) => sagas.filter((saga) => saga.kind === kind).map((saga) => saga.id);
  const isCancellation = Prisma.sql`(status <> 'PENDING' AND unwinding_reason IS NOT NULL)`;
  await db.$executeRaw`
    UPDATE orders SET saga_started_at = now()
    WHERE saga_started_at IS NULL
      AND ((id = ANY(${idsOf('order')}::uuid[]) AND NOT ${isCancellation})
        OR (id = ANY(${idsOf('cancellation')}::uuid[]) AND ${isCancellation}))`;
}

/** An order that should be final by now, or about to be: the supervision looks whether a saga works on it. */
export type OpenOrder = {
  id: string;
  correlationId: string;
  /** Confirmed, and on its way back. */
  takingBack: boolean;
  isUnwinding: boolean;
  /** Confirmed, with steps after the pivot still to be done. */
  isForward: boolean;
  /** Its saga should have unwound it by itself. */
  isOverdue: boolean;
};

/** In milliseconds: for how long an order may be unwinding, pending, and open at all before it is listed, or overdue. */
export type OpenFor = { unwindingMs: number; pendingMs: number; overdueMs: number };

/**
 * Open orders whose saga has been seen to begin, by id; however old they are. Each part reads an index.
 * @param afterId where the page before ended
 */
export async function listOpen(
  db: Statements,
  { unwindingMs, pendingMs, overdueMs }: OpenFor,
  { afterId, limit }: { afterId: string; limit: number },
): Promise<OpenOrder[]> {
  const before = (ms: number) => Prisma.sql`now() - ${ms}::float8 * interval '1 ms'`;
  const columns = Prisma.sql`
    id, correlation_id AS "correlationId", status = 'CONFIRMED' AND unwinding_reason IS NOT NULL AS "takingBack", unwinding_reason IS NOT NULL AS "isUnwinding",
    status = 'CONFIRMED' AND unwinding_reason IS NULL AS "isForward",
    saga_started_at < ${before(overdueMs)} AS "isOverdue"`;
  const begun = Prisma.sql`saga_started_at IS NOT NULL AND id > ${afterId}::uuid`;
  return db.$queryRaw<OpenOrder[]>`
    SELECT * FROM (
      (SELECT ${columns} FROM orders
       WHERE status = 'PENDING' AND unwinding_reason IS NULL AND created_at < ${before(pendingMs)} AND ${begun}
       ORDER BY id LIMIT ${limit})
      UNION ALL
      (SELECT ${columns} FROM orders
       WHERE unwinding_reason IS NOT NULL AND status <> 'CANCELLED' AND updated_at < ${before(unwindingMs)} AND ${begun}
       ORDER BY id LIMIT ${limit})
      UNION ALL
      (SELECT ${columns} FROM orders
       WHERE forward_due AND status = 'CONFIRMED' AND unwinding_reason IS NULL AND updated_at < ${before(pendingMs)} AND ${begun}
       ORDER BY id LIMIT ${limit})
    ) AS open
    ORDER BY id LIMIT ${limit}`;
}

/** @returns when the saga of the last of the oldest pending orders, so many of them, had begun; null = there are fewer */
export async function readOldestOpenAt(db: Statements, orders: number): Promise<Date | null> {
  const [row] = await db.$queryRaw<{ at: Date | null }[]>`
    SELECT saga_started_at AS at FROM orders WHERE status = 'PENDING' AND unwinding_reason IS NULL AND saga_started_at IS NOT NULL
    ORDER BY id OFFSET ${orders}::int - 1 LIMIT 1`;
  return row?.at ?? null;
}
