/** What is told, and to whom it was answered: the feed's order is that of each order, destinations are served, answers are about orders that are there. */
import type { LedgerEvent, LedgerOrder, Ledgers } from '../ledgers.js';
import { byOrder, type Check, each, idOf } from '../look.js';

/** Whoever reads the feed gets each order's events in their sequence, and as many as the order's row says. */
export const fedInOrder: Check = ({ orders, events }) => {
  const placed = events.filter(({ feedPlace }) => feedPlace !== undefined);
  if (placed.length === 0) return undefined;
  const told = byOrder(placed);
  return {
    rows: placed.length,
    violations: each(orders, idOf, (order) => feedTrouble(order, told.get(order.id) ?? [])),
  };
};

export const served: Check = ({ cursors }) =>
  cursors && {
    rows: cursors.length,
    violations: each(
      cursors,
      ({ destination }) => destination,
      ({ destination, partition, isServed, isWithinFeed, owedTooLong }) => [
        !isWithinFeed && `${destination} is said to have got what was never told: share ${partition} would miss events`,
        owedTooLong !== null &&
          !isServed &&
          `${destination} is owed an event of ${owedTooLong}, and no relay serves it`,
      ],
    ),
  };

export const answered: Check = ({ keys }) =>
  keys && {
    rows: keys.length,
    violations: each(
      keys,
      ({ orderId }) => orderId,
      ({ orderId, isThere, isAboutIt }: NonNullable<Ledgers['keys']>[number]) => [
        !isThere && `a caller was answered ${orderId}, which is no order`,
        !isAboutIt && `a caller was answered something else than ${orderId}`,
      ],
    ),
  };

function feedTrouble({ id, areEventsGone, eventCount }: LedgerOrder, events: LedgerEvent[]): (string | false)[] {
  const places = events.map(({ feedPlace: [xid, position] = ['0', '0'] }) => [BigInt(xid), BigInt(position)] as const);
  const isInOrder = places.every(([xid, position], i) => {
    const [xidBefore, positionBefore] = places[i - 1] ?? [-1n, -1n];
    return xid > xidBefore || (xid === xidBefore && position > positionBefore);
  });
  const newest = events.at(-1)?.sequence;
  return [
    !isInOrder && `the feed has the events of ${id} in another order`,
    !(areEventsGone && newest === undefined) &&
      eventCount !== undefined &&
      newest !== eventCount &&
      `${id} has told ${eventCount} events, of which the newest is ${newest ?? 'none'}`,
  ];
}
