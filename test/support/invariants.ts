/**
 * The invariant checker: what must hold of the ledgers when all orders are final. Each invariant says how many rows it has looked at:
 * one that has looked at nothing has proved nothing, and fails. That each catches what it names: invariants.test.ts.
 */
import type { Order } from '../../clients/typescript/client.js';
import type { CloudEvent } from '../../contracts/events.js';
import { PLAN, stepsOf } from '../../contracts/plan.js';
import type { ApiClient } from './launcher.js';
import { type LedgerEvent, type LedgerOrder, type Ledgers, readLedgersFromOutside } from './ledgers.js';
import { legalStories } from './stories.js';

export type Finding = { invariant: string; checked: number; violations: string[] };
type Looked = { rows: readonly unknown[]; violations: (string | false | undefined)[] };

/** @returns what was looked at, or undefined if the ledgers lack what the invariant is about */
type Invariant = (ledgers: Ledgers) => Looked | undefined;

const INVARIANTS: Record<string, Invariant> = {
  'I1 money': (ledgers) => ({
    rows: ledgers.orders,
    violations: [...ledgers.orders.map((o) => moneyOf(o, ledgers)), ...foreignMoney(ledgers)],
  }),
  'I1 strangers are left alone': ({ charges }) => {
    const strangers = charges.filter(({ isOurs }) => !isOurs);
    if (strangers.length === 0) return undefined;
    return {
      rows: strangers,
      violations: strangers.flatMap(({ reference, refunds }) =>
        refunds.map(({ orderId }) => orderId !== null && `the stranger's charge ${reference} was refunded by us`),
      ),
    };
  },
  'I1 the provider agrees with itself': ({ charges }) => ({
    rows: charges,
    violations: charges.map(
      ({ reference, received, refunded, holds }) =>
        holds !== received - refunded && `${reference} holds ${holds}; ${refunded} of ${received} went back`,
    ),
  }),
  'I1 payments agree with the gateway': ({ payments, charges }) =>
    payments && { rows: payments, violations: payments.map((payment) => disagreement(payment, charges)) },
  'I2 stock is conserved': (ledgers) => ({
    rows: ledgers.stock,
    violations: ledgers.stock.flatMap((row) => [
      row.available + row.reserved + row.sold !== row.onHand && `${row.sku} does not add up`,
      Math.min(row.available, row.reserved, row.sold) < 0 && `${row.sku} is negative`,
      !agreesWithReservations(row, ledgers) && `${row.sku} disagrees with its reservations`,
    ]),
  }),
  'I3 one charge per order': ({ charges }) => {
    const paid = charges.filter(({ received, isOurs }) => isOurs && received > 0).map(({ orderId }) => orderId);
    return {
      rows: charges,
      violations: paid.filter((id, i) => paid.indexOf(id) !== i).map((id) => `${id} was charged twice`),
    };
  },
  'I4 orders hold what they bought': (ledgers) =>
    ledgers.reservations && {
      rows: ledgers.reservations,
      violations: [...ledgers.orders.flatMap((o) => holdingsOf(o, ledgers)), ...ghosts(ledgers)],
    },
  'I4 orders hold what the plan says': (ledgers) =>
    ledgers.holdings && {
      rows: ledgers.orders,
      violations: ledgers.orders.flatMap((o) => plannedHoldingsOf(o, ledgers)),
    },
  'I5 one end': (ledgers) => ({
    rows: ledgers.orders,
    violations: ledgers.orders.flatMap((order) => endOf(order, ledgers)),
  }),
  'I5 sagas have ended as their orders': (ledgers) =>
    ledgers.sagas && {
      rows: ledgers.sagas,
      violations: [...ledgers.sagas.map(sagaTrouble), ...ledgers.orders.map((order) => sagaOf(order, ledgers))],
    },
  'I8 delivered at least once': ({ delivered, events }) =>
    delivered && {
      rows: Object.values(delivered).flat(),
      violations: Object.entries(delivered).flatMap(([consumer, got]) => [
        ...missing(events, got).map((event) => `${consumer} never got ${event}`),
        ...missing(got, events).map((event) => `${consumer} got ${event}, which never was`),
      ]),
    },
  'I9 delivered in order': ({ delivered }) =>
    delivered && {
      rows: Object.values(delivered).flat(),
      violations: Object.entries(delivered).flatMap(([consumer, got]) =>
        [...byOrder(firstArrivals(got))].map(
          ([id, events]) => !isGapless(events) && `${consumer} got the events of ${id} out of order`,
        ),
      ),
    },
  'I10 exactly its events': (ledgers) => {
    const events = byOrder(ledgers.events);
    const known = new Set(ledgers.orders.map(({ id }) => id));
    return {
      rows: ledgers.events,
      violations: [
        ...ledgers.orders.map((order) => storyTrouble(order, events.get(order.id) ?? [], ledgers)),
        ...[...events.keys()].map((id) => !known.has(id) && `events of ${id}, which is no order`),
      ],
    };
  },
};

/** All that ledgers are held against, strangers' charges only where there are any. */
export const INVARIANT_NAMES = Object.keys(INVARIANTS);

/** @returns one finding per invariant that these ledgers can be held against */
export function checkInvariants(ledgers: Ledgers): Finding[] {
  return Object.entries(INVARIANTS).flatMap(([invariant, look]) => {
    const looked = look(ledgers);
    if (!looked) return [];
    return [
      { invariant, checked: looked.rows.length, violations: looked.violations.filter((v) => typeof v === 'string') },
    ];
  });
}

/**
 * @param mayLackRows invariants that may find nothing to look at
 * @throws naming every invariant that does not hold, or that had nothing to look at
 */
export function expectRight(ledgers: Ledgers, mayLackRows: string[] = []): void {
  const wrong = checkInvariants(ledgers).flatMap(({ invariant, checked, violations }) =>
    checked === 0 && !mayLackRows.includes(invariant)
      ? [`${invariant}: nothing to look at`]
      : violations.map((violation) => `${invariant}: ${violation}`),
  );
  if (wrong.length > 0) throw new Error(`The ledgers are wrong:\n${wrong.join('\n')}`);
}

/**
 * Money, stock and events of these orders, checked over HTTP and against the gateway's own lists. All must be final.
 * @param delivered events as a consumer saw them, repetitions allowed
 */
export async function expectRightFromOutside(
  client: ApiClient,
  orders: Order[],
  delivered?: CloudEvent[],
): Promise<void> {
  const ledgers = await readLedgersFromOutside(client, orders, delivered);
  // Where the gateway was never asked there is no charge to look at; I1 says that there must be none.
  const wasAsked = orders.some(({ cancellation }) => !cancellation || !REFUSED_BEFORE_CHARGE.has(cancellation.reason));
  expectRight(ledgers, wasAsked ? [] : ['I3 one charge per order', 'I1 the provider agrees with itself']);
}

/** Why an order may have been refused before anything was asked of the gateway. */
const REFUSED_BEFORE_CHARGE = new Set<string>(
  stepsOf(PLAN).flatMap(({ sharesPivot, refusals = [] }) => (sharesPivot ? [] : refusals)),
);

/** An operator has vouched for this: no money, or no stock, of ours has moved for it. */
const isVouched = (ledgers: Ledgers, orderId: string, type: string): boolean =>
  ledgers.events.some((e) => e.orderId === orderId && e.type === type && 'skippedBy' in e.data);

function moneyOf(order: LedgerOrder, ledgers: Ledgers): string | undefined {
  const sum = order.lines.reduce((total, line) => total + line.quantity * line.unitPrice, 0);
  if (sum !== order.total) return `${order.id} costs ${order.total}, its lines ${sum}`;
  if (isVouched(ledgers, order.id, 'payment.charged') || isVouched(ledgers, order.id, 'payment.refunded'))
    return undefined;
  const charges = ledgers.charges.filter(({ orderId, isOurs }) => isOurs && orderId === order.id);
  const net = charges.reduce((total, { holds }) => total + holds, 0);
  const due = order.status === 'CONFIRMED' ? order.total : 0;
  if (net !== due) return `${order.id} is ${order.status} and has paid ${net}, not ${due}`;
  const open = charges.find(({ status }) => ['processing', 'requires_action', 'requires_capture'].includes(status));
  return open && `${order.id} is final, its charge ${open.reference} is not`;
}

/** What carries our marks and is no order's. What strangers take is theirs. */
function foreignMoney({ orders, charges: all }: Ledgers): (string | false)[] {
  const charges = all.filter(({ isOurs }) => isOurs);
  const currencies = new Map(orders.map(({ id, currency }) => [id, currency]));
  return charges.flatMap((charge) => [
    !currencies.has(charge.orderId ?? '') && `the charge ${charge.reference} is no order's`,
    currencies.get(charge.orderId ?? '') !== charge.currency &&
      `the charge ${charge.reference} is in ${charge.currency}`,
    charge.refunded > charge.received && `the charge ${charge.reference} was refunded beyond what it took`,
  ]);
}

/** How much of what a charge took, a payment of this status says is still there. */
const KEPT: Record<string, 'all' | 'nothing'> = {
  CHARGED: 'all',
  REFUNDED: 'nothing',
  VOIDED: 'nothing',
  DECLINED: 'nothing',
};

function disagreement(
  payment: NonNullable<Ledgers['payments']>[number],
  charges: Ledgers['charges'],
): string | undefined {
  const kept = KEPT[payment.status];
  if (payment.status === 'SETTLED_OUTSIDE' || payment.amount === 0) return undefined;
  if (kept === undefined) return `the payment of ${payment.orderId} is still ${payment.status}`;
  const charge = charges.find(({ reference }) => reference === payment.reference);
  if (payment.reference !== null && !charge) return `the gateway has no charge ${payment.reference}`;
  if (kept === 'all' && !charge) return `the payment of ${payment.orderId} names no charge`;
  const held = charge?.holds ?? 0;
  return held === (kept === 'all' ? payment.amount : 0)
    ? undefined
    : `the payment of ${payment.orderId} is ${payment.status}, the gateway holds ${held}`;
}

/** Without reservations to compare with, from outside: nothing is reserved when every order is final. */
function agreesWithReservations({ sku, reserved, sold }: Ledgers['stock'][number], { reservations }: Ledgers): boolean {
  if (!reservations) return reserved === 0;
  const sum = (state: string) =>
    reservations.filter((r) => r.sku === sku && r.state === state).reduce((total, { quantity }) => total + quantity, 0);
  return reserved === sum('RESERVED') && sold === sum('SOLD');
}

function holdingsOf(order: LedgerOrder, ledgers: Ledgers): (string | false)[] {
  const held = ledgers.reservations?.filter((r) => r.orderId === order.id && r.state !== 'RELEASED') ?? [];
  const isByHand = isVouched(ledgers, order.id, 'inventory.reserved');
  if (order.status !== 'CONFIRMED' || isByHand)
    return [held.length > 0 && `${order.id} holds stock it has no right to`];
  return order.lines.map(
    ({ sku, quantity }) =>
      !held.some((r) => r.sku === sku && r.quantity === quantity && r.state === 'SOLD') &&
      `${order.id} is confirmed without its ${sku}`,
  );
}

/** Of every step of the plan, whatever it holds: a cancelled order nothing, a confirmed one all that was not done by hand. */
function plannedHoldingsOf(order: LedgerOrder, ledgers: Ledgers): (string | false)[] {
  const tables = new Set(ledgers.holdings?.filter(({ orderId }) => orderId === order.id).map(({ table }) => table));
  const isConfirmed = order.status === 'CONFIRMED';
  return stepsOf(PLAN, order.planVersion).map(({ holds, events: { done } }) => {
    if (!holds || tables.has(holds.table) === isConfirmed) return false;
    if (isConfirmed)
      return !isVouched(ledgers, order.id, done) && `${order.id} is confirmed without its ${holds.table}`;
    return `${order.id} is ${order.status} and still has ${holds.table}`;
  });
}

function ghosts({ orders, reservations }: Ledgers): string[] {
  const known = new Set(orders.map(({ id }) => id)); // a foreign key sees to the others
  const lines = new Set(orders.flatMap(({ id, lines: all }) => all.map(({ sku }) => `${id} ${sku}`)));
  return (reservations ?? [])
    .filter(({ orderId, sku, state }) => state !== 'RELEASED' && known.has(orderId) && !lines.has(`${orderId} ${sku}`))
    .map(({ orderId, sku }) => `${orderId} holds ${sku}, which it never ordered`);
}

function endOf(order: LedgerOrder, ledgers: Ledgers): (string | false)[] {
  const types = ledgers.events.filter(({ orderId }) => orderId === order.id).map(({ type }) => type);
  const count = (type: string) => types.filter((t) => t === type).length;
  return [
    order.status === 'PENDING' && `${order.id} is not final`,
    (order.status === 'CANCELLED') !== (order.reason !== null) && `${order.id} is ${order.status} for ${order.reason}`,
    count('order.confirmed') > 1 && `${order.id} was confirmed twice`,
    count('order.cancelled') !== (order.status === 'CANCELLED' ? 1 : 0) &&
      `${order.id} is ${order.status}, cancelled ${count('order.cancelled')} times`,
    order.status === 'CONFIRMED' &&
      count('order.confirmed') !== 1 &&
      `${order.id} is CONFIRMED and has no event that says so`,
  ];
}

const sagaTrouble = ({ workflowId, status }: NonNullable<Ledgers['sagas']>[number]) =>
  status !== 'COMPLETED' && `${workflowId} is ${status}`;

function sagaOf({ id, status }: LedgerOrder, { sagas = [] }: Ledgers): string | undefined {
  const resultOf = (workflowId: string) => sagas.find((saga) => saga.workflowId === workflowId)?.result?.status;
  const [first, takenBack] = [resultOf(`order-${id}`), resultOf(`order-${id}-cancel`)];
  if (first === undefined) return `${id} has no saga that has come to its end`;
  return (takenBack ?? first) === status ? undefined : `${id} is ${status}, its saga says ${takenBack ?? first}`;
}

const nameOf = ({ orderId, sequence, type }: LedgerEvent) => `${orderId}-${sequence} ${type}`;
function missing(wanted: LedgerEvent[], among: LedgerEvent[]): string[] {
  const names = new Set(among.map(nameOf));
  return wanted.map(nameOf).filter((name) => !names.has(name));
}

function firstArrivals(events: LedgerEvent[]): LedgerEvent[] {
  const seen = new Set<string>();
  return events.filter(
    ({ orderId, sequence }) => !seen.has(`${orderId}-${sequence}`) && seen.add(`${orderId}-${sequence}`),
  );
}

function byOrder(events: LedgerEvent[]): Map<string, LedgerEvent[]> {
  const orders = new Map<string, LedgerEvent[]>();
  for (const event of events) orders.set(event.orderId, [...(orders.get(event.orderId) ?? []), event]);
  return orders;
}

const isGapless = (events: LedgerEvent[]) => events.every(({ sequence }, i) => sequence === i + 1);

function storyTrouble(order: LedgerOrder, events: LedgerEvent[], ledgers: Ledgers): string | undefined {
  const types = events.map(({ type }) => type);
  if (!isGapless(events)) return `the events of ${order.id} have gaps`;
  const byHand = new Set(events.filter(({ data }) => 'skippedBy' in data).map(({ type }) => type));
  const isRefundedByOthers = order.total > 0 && givenBackByOthers(order, ledgers) >= order.total;
  if (!legalStories({ ...order, byHand, isRefundedByOthers }).some((story) => story.join() === types.join()))
    return `${order.id} is ${order.status} after ${types.join(', ')}`;
  const lie = events.find((event) => event.data['orderId'] !== order.id || !isAbout(order, event, ledgers));
  return lie && `${nameOf(lie)} tells of something else than its order`;
}

function isAbout(order: LedgerOrder, { type, data }: LedgerEvent, ledgers: Ledgers): boolean {
  const money = (data['total'] ?? data['amount']) as { amount: number; currency: string } | undefined;
  if (money === undefined) return true;
  const isOfOurs = type === 'payment.refunded' && !('skippedBy' in data);
  const amount = isOfOurs ? order.total - givenBackByOthers(order, ledgers) : order.total;
  return money.amount === amount && money.currency === order.currency;
}

/** Before us, out of our own charge: the event tells what is left for us to give back. */
const givenBackByOthers = ({ id, total }: LedgerOrder, { charges }: Ledgers): number =>
  Math.min(
    total,
    charges
      .filter(({ orderId, isOurs }) => isOurs && orderId === id)
      .flatMap(({ refunds }) => refunds)
      .filter(({ orderId, status }) => orderId === null && (status === 'succeeded' || status === 'pending'))
      .reduce((sum, { amount }) => sum + amount, 0),
  );
