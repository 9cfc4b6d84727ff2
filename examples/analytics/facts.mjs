/**
 * Facts: what the read side knows of an order, and what that adds to the sums. An order is placed, confirmed and cancelled once at
 * most, and each fact counts in the hour and the day of its own moment. Everything else follows: whatever is learnt, and in whatever
 * order, the sums move by the difference between what the order's facts add after it and what they added before.
 */

export const NOTHING = Object.freeze({
  placedAt: null,
  confirmedAt: null,
  cancelledAt: null,
  reason: null,
  currency: null,
  total: null,
  items: null,
});

const READERS = {
  'order.created': (at, { items, total }) => ({ placedAt: at, ...amounts(items, total) }),
  'order.confirmed': (at) => ({ confirmedAt: at }),
  'order.cancelled': (at, { reason }) => ({ cancelledAt: at, reason: text(reason, 'data.reason') }),
};

/**
 * @returns what the event says; undefined = nothing that is counted here. Types are added: one that is not known is no error,
 * and its `subject` may be something other than an order
 * @throws if it is of a type that is known, and cannot be read
 */
export function factsOfEvent(event) {
  const { type, subject, time, dataschema, data } = event ?? {};
  if (typeof type !== 'string') throw new Error('type is not a text');
  if (!Object.hasOwn(READERS, type)) return undefined;
  if (dataschema !== undefined && dataschema !== `urn:order-saga:schema:${type}:v1`)
    throw new Error('dataschema is of a version that is not known here');
  return { orderId: orderId(subject), facts: READERS[type](moment(time, 'time'), data ?? {}) };
}

/** @returns what the orders API says of an order; when it was confirmed, only if it still is */
export function factsOfOrder({ id, status, items, total, createdAt, updatedAt, cancellation }) {
  const changedAt = moment(updatedAt, 'updatedAt');
  const facts = { placedAt: moment(createdAt, 'createdAt'), ...amounts(items, total) };
  if (status === 'CONFIRMED') return { orderId: orderId(id), facts: { ...facts, confirmedAt: changedAt } };
  if (status !== 'CANCELLED') return { orderId: orderId(id), facts };
  const reason = text(cancellation?.reason, 'cancellation.reason');
  return { orderId: orderId(id), facts: { ...facts, cancelledAt: changedAt, reason } };
}

/**
 * @param known what is known of the order
 * @param isEvent its moments are exact, and replace those that the orders API has told; what that tells only fills gaps
 */
export function learn(known, facts, isEvent) {
  const learnt = { ...known };
  for (const [name, value] of Object.entries(facts)) {
    if (value !== null && (known[name] === null || isEvent)) learnt[name] = value;
  }
  return learnt;
}

export const isSame = (a, b) => Object.keys(NOTHING).every((name) => a[name] === b[name]);

/** Sums by which others move, collected over a page so that each row is written once. */
export function createDeltas() {
  const totals = new Map();
  const products = new Map();
  const reasons = new Map();
  return {
    totals,
    products,
    reasons,
    /** An order's facts were `before`, and are `after`. */
    move: (before, after) => {
      count(before, -1);
      count(after, 1);
    },
  };

  function count(order, sign) {
    const { placedAt, confirmedAt, cancelledAt, reason, currency, total, items } = order;
    if (currency === null) return; // what it is worth is not known yet
    const units = sign * total;
    if (placedAt !== null) each(placedAt, (key) => add(totals, key, { placed: sign, placedAmount: units }));
    if (confirmedAt !== null)
      each(confirmedAt, (key) => {
        add(totals, key, { confirmed: sign, revenue: units });
        for (const { sku, quantity, amount } of items)
          add(products, { ...key, sku }, { sold: sign * quantity, soldAmount: sign * amount });
      });
    if (cancelledAt !== null)
      each(cancelledAt, (key) => {
        add(totals, key, { cancelled: sign });
        add(reasons, { ...key, reason }, { cancelled: sign });
        if (confirmedAt === null) return;
        add(totals, key, { reversed: sign, reversedAmount: units });
        for (const { sku, quantity, amount } of items)
          add(products, { ...key, sku }, { returned: sign * quantity, returnedAmount: sign * amount });
      });

    function each(at, found) {
      for (const [grain, start] of periodsOf(at)) found({ grain, start, currency });
    }
  }
}

/** In UTC. */
export const periodsOf = (at) => [
  ['hour', `${at.slice(0, 13)}:00:00.000Z`],
  ['day', `${at.slice(0, 10)}T00:00:00.000Z`],
];

function add(sums, key, amounts) {
  const name = Object.values(key).join(' ');
  const sum = sums.get(name) ?? { ...key };
  for (const [field, amount] of Object.entries(amounts)) sum[field] = (sum[field] ?? 0) + amount;
  sums.set(name, sum);
}

function amounts(items, total) {
  if (!Array.isArray(items)) throw new Error('items is not a list');
  const read = items.map((item) => ({
    sku: text(item?.sku, 'items.sku'),
    quantity: units(item.quantity, 'items.quantity'),
    amount: units(item.quantity * item.unitPrice, 'items.unitPrice'),
  }));
  units(
    read.reduce((sum, { amount }) => sum + amount, 0),
    'what the items come to',
  );
  return {
    currency: text(total?.currency, 'total.currency'),
    total: units(total?.amount, 'total.amount'),
    items: read,
  };
}

/** More than any order comes to; a page's orders together are still a number that is exact. */
const UNITS_MAX = 1_000_000_000_000;

function units(value, field) {
  if (Number.isInteger(value) && value >= 0 && value <= UNITS_MAX) return value;
  throw new Error(`${field} is not a whole number from 0 to ${UNITS_MAX}`);
}

/** Characters that Postgres cannot keep: control characters, and halves of pairs. */
const UNKEEPABLE = /[\p{Cc}\p{Cs}]/u;

function text(value, field) {
  if (typeof value === 'string' && value.length > 0 && value.length <= 128 && !UNKEEPABLE.test(value)) return value;
  throw new Error(`${field} is not a short text`);
}

/** With a day, an hour and an offset, of a year that Postgres takes as it stands. */
const MOMENT = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function moment(value, field) {
  const at = new Date(typeof value === 'string' && MOMENT.test(value) ? value : '');
  if (!Number.isNaN(at.getTime()) && MOMENT.test(at.toISOString())) return at.toISOString();
  throw new Error(`${field} is not a moment`);
}

/** How an event that cannot be read is named where those are noted. */
export const nameOf = (event) => `${event?.id ?? 'without an id'}`.slice(0, 200).replace(/[\p{Cc}\p{Cs}]/gu, '\ufffd');

function orderId(value) {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)) return value;
  throw new Error('the order has no id that is one');
}
