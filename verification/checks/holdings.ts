/** Stock, and whatever else an order holds: it adds up, and an order has what its end says. */
import { PLAN, stepsOf } from '../../contracts/plan.js';
import type { LedgerOrder, LedgerReservation, Ledgers } from '../ledgers.js';
import { type Check, each, idOf, isVouched } from '../look.js';

export const stock: Check = (ledgers) => {
  const sums = ledgers.reservations && sumsOf(ledgers.reservations);
  return {
    rows: ledgers.stock.length,
    violations: each(
      ledgers.stock,
      ({ sku }) => sku,
      (row) => [
        row.available + row.reserved + row.sold !== row.onHand && `${row.sku} does not add up`,
        Math.min(row.available, row.reserved, row.sold) < 0 && `${row.sku} is negative`,
        !agreesWithReservations(row, sums) && `${row.sku} disagrees with its reservations`,
      ],
    ),
  };
};

export const reservations: Check = (ledgers) =>
  ledgers.reservations && {
    rows: ledgers.reservations.length,
    violations: [
      ...each(ledgers.orders, idOf, (order) => holdingsOf(order, ledgers)),
      ...each(
        ghosts(ledgers),
        ({ orderId }) => orderId,
        ({ orderId, sku }) => `${orderId} holds ${sku}, which it never ordered`,
      ),
    ],
  };

export const holdings: Check = (ledgers) =>
  ledgers.holdings && {
    rows: ledgers.orders.length,
    violations: each(ledgers.orders, idOf, (order) => plannedHoldingsOf(order, ledgers)),
  };

type Sums = ReadonlyMap<string, { reserved: number; sold: number }>;

function sumsOf(reservations: LedgerReservation[]): Sums {
  const sums = new Map<string, { reserved: number; sold: number }>();
  for (const { sku, state, quantity } of reservations) {
    const sum = sums.get(sku) ?? { reserved: 0, sold: 0 };
    if (state === 'RESERVED') sum.reserved += quantity;
    if (state === 'SOLD') sum.sold += quantity;
    sums.set(sku, sum);
  }
  return sums;
}

/** Without reservations to compare with, from outside: nothing is reserved when every order is final. */
function agreesWithReservations({ sku, reserved, sold }: Ledgers['stock'][number], sums: Sums | undefined): boolean {
  if (!sums) return reserved === 0;
  const sum = sums.get(sku) ?? { reserved: 0, sold: 0 };
  return reserved === sum.reserved && sold === sum.sold;
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
  if (ledgers.inHand?.has(order.id)) return [];
  const tables = new Set(ledgers.holdings?.filter(({ orderId }) => orderId === order.id).map(({ table }) => table));
  const isConfirmed = order.status === 'CONFIRMED';
  return stepsOf(PLAN, order.planVersion).map(({ holds, events: { done } }) => {
    if (!holds || tables.has(holds.table) === isConfirmed) return false;
    if (isConfirmed)
      return !isVouched(ledgers, order.id, done) && `${order.id} is confirmed without its ${holds.table}`;
    return `${order.id} is ${order.status} and still has ${holds.table}`;
  });
}

function ghosts({ orders, reservations = [] }: Ledgers): LedgerReservation[] {
  const known = new Set(orders.map(({ id }) => id)); // a foreign key sees to the others
  const lines = new Set(orders.flatMap(({ id, lines: all }) => all.map(({ sku }) => `${id} ${sku}`)));
  return reservations.filter(
    ({ orderId, sku, state }) => state !== 'RELEASED' && known.has(orderId) && !lines.has(`${orderId} ${sku}`),
  );
}
