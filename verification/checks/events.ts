/** Events: exactly those of what became of the order, in their order; and each consumer got them all. */
import type { LedgerEvent, LedgerOrder, Ledgers } from '../ledgers.js';
import { byOrder, type Check, each, idOf } from '../look.js';
import { legalStories } from '../stories.js';

export const events: Check = (ledgers) => {
  const told = byOrder(ledgers.events);
  const known = new Set(ledgers.orders.map(idOf));
  return {
    rows: ledgers.events.length,
    violations: [
      ...each(ledgers.orders, idOf, (order) => storyTrouble(order, told.get(order.id) ?? [], ledgers)),
      ...each(
        [...told.keys()],
        (id) => id,
        (id) => !known.has(id) && `events of ${id}, which is no order`,
      ),
    ],
  };
};

export const delivered: Check = ({ delivered: all, events: owed }) =>
  all && {
    rows: Object.values(all).flat().length,
    violations: Object.entries(all).flatMap(([consumer, got]) => [
      ...each(missing(owed, got), ofOrder, (event) => `${consumer} never got ${nameOf(event)}`),
      ...each(missing(got, owed), ofOrder, (event) => `${consumer} got ${nameOf(event)}, which never was`),
    ]),
  };

export const deliveredInOrder: Check = ({ delivered: all }) =>
  all && {
    rows: Object.values(all).flat().length,
    violations: Object.entries(all).flatMap(([consumer, got]) =>
      each(
        [...byOrder(firstArrivals(got))],
        ([id]) => id,
        ([id, first]) => !isGapless(first) && `${consumer} got the events of ${id} out of order`,
      ),
    ),
  };

const ofOrder = ({ orderId }: LedgerEvent): string => orderId;
const nameOf = ({ orderId, sequence, type }: LedgerEvent) => `${orderId}-${sequence} ${type}`;
function missing(wanted: LedgerEvent[], among: LedgerEvent[]): LedgerEvent[] {
  const names = new Set(among.map(nameOf));
  return wanted.filter((event) => !names.has(nameOf(event)));
}

function firstArrivals(events: LedgerEvent[]): LedgerEvent[] {
  const seen = new Set<string>();
  return events.filter(
    ({ orderId, sequence }) => !seen.has(`${orderId}-${sequence}`) && seen.add(`${orderId}-${sequence}`),
  );
}

const isConsecutive = (events: LedgerEvent[]) =>
  events.every(({ sequence }, i) => sequence === (events[0]?.sequence ?? 0) + i);
const isGapless = (events: LedgerEvent[]) => events.every(({ sequence }, i) => sequence === i + 1);

function storyTrouble(order: LedgerOrder, events: LedgerEvent[], ledgers: Ledgers): string | undefined {
  const types = events.map(({ type }) => type);
  // The oldest go first: what is left ends with the newest.
  if (order.areEventsGone ? !isConsecutive(events) : !isGapless(events)) return `the events of ${order.id} have gaps`;
  if (order.areEventsGone) return undefined;
  const byHand = new Set(events.filter(({ data }) => 'skippedBy' in data).map(({ type }) => type));
  // Without the gateway's lists it may be so or not.
  const refundedByOthers = ledgers.charges
    ? [order.total > 0 && givenBackByOthers(order, ledgers) >= order.total]
    : [true, false];
  const stories = refundedByOthers.flatMap((isRefundedByOthers) =>
    legalStories({ ...order, byHand, isRefundedByOthers }),
  );
  if (!stories.some((story) => story.join() === types.join()))
    return `${order.id} is ${order.status} after ${types.join(', ')}`;
  const lie = events.find((event) => event.data['orderId'] !== order.id || !isAbout(order, event, ledgers));
  return lie && `${nameOf(lie)} tells of something else than its order`;
}

function isAbout(order: LedgerOrder, { type, data }: LedgerEvent, ledgers: Ledgers): boolean {
  const money = (data['total'] ?? data['amount']) as { amount: number; currency: string } | undefined;
  if (money === undefined) return true;
  const isOfOurs = type === 'payment.refunded' && !('skippedBy' in data);
  if (isOfOurs && !ledgers.charges) return money.currency === order.currency;
  const amount = isOfOurs ? order.total - givenBackByOthers(order, ledgers) : order.total;
  return money.amount === amount && money.currency === order.currency;
}

/** Before us, out of our own charge: the event tells what is left for us to give back. */
const givenBackByOthers = ({ id, total }: LedgerOrder, { charges = [] }: Ledgers): number =>
  Math.min(
    total,
    charges
      .filter(({ orderId, isOurs }) => isOurs && orderId === id)
      .flatMap(({ refunds }) => refunds)
      .filter(({ orderId, status }) => orderId === null && (status === 'succeeded' || status === 'pending'))
      .reduce((sum, { amount }) => sum + amount, 0),
  );
