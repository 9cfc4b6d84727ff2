/** What an invariant says of ledgers: how many rows it has looked at, and what of them is wrong. */
import type { LedgerEvent, Ledgers } from './ledgers.js';

/** `of`: the order, charge, SKU or workflow that it is about. */
export type Violation = { of: string; says: string };
export type Looked = { rows: number; violations: Violation[] };

/** @returns what was looked at, or undefined if the ledgers lack what the invariant is about */
export type Check = (ledgers: Ledgers) => Looked | undefined;

type Said = string | false | undefined;

/** Of each row what is wrong with it. */
export const each = <Row>(
  rows: readonly Row[],
  of: (row: Row) => string,
  look: (row: Row) => Said | Said[],
): Violation[] =>
  rows.flatMap((row) =>
    [look(row)]
      .flat()
      .filter((says) => typeof says === 'string')
      .map((says) => ({ of: of(row), says })),
  );

export const idOf = ({ id }: { id: string }): string => id;

/** An operator has vouched for this: no money, or no stock, of ours has moved for it. Where the events are gone, it may be so. */
export const isVouched = (ledgers: Ledgers, orderId: string, type: string): boolean =>
  ledgers.orders.some(({ id, areEventsGone }) => id === orderId && areEventsGone) ||
  ledgers.events.some((e) => e.orderId === orderId && e.type === type && 'skippedBy' in e.data);

export function byOrder(events: LedgerEvent[]): Map<string, LedgerEvent[]> {
  const orders = new Map<string, LedgerEvent[]>();
  for (const event of events) orders.set(event.orderId, [...(orders.get(event.orderId) ?? []), event]);
  return orders;
}
