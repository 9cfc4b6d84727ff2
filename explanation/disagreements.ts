/** Where the order's row, its saga, the gateway's ledger and its events do not say the same. Nothing here is decided: it is marked. */
import { money } from '../contracts/amounts.js';
import { isVouched } from '../domain/reconciliation-findings.js';
import { isFinal } from './situation.js';
import type { GatewayView } from './gateway-view.js';
import type { OrderRow } from './order-row.js';
import type { SagaView } from './saga-view.js';

export type Source = 'row' | 'saga' | 'gateway' | 'events' | 'stock';
export type Disagreement = {
  between: [Source, Source];
  says: string;
  /** What becomes of it by itself, or who must look. */
  sequel: string;
};

/** A saga commits its order's end before its own: so long a difference is the way of things. */
const SETTLES_MS = 60_000;

export function disagreementsOf(row: OrderRow, saga: SagaView, gateway: GatewayView, now = Date.now()): Disagreement[] {
  return [...ofMoney(row, gateway), ...ofFindings(row), ...ofSaga(row, saga, now), ...ofEvents(row), ...ofStock(row)];
}

const RECONCILED = 'The reconciler settles or reports it on its next passes (`ops reconcile --order`).';
const PERSON = 'No machine decides this: see the findings, and the gateway’s own records.';

function ofMoney(row: OrderRow, gateway: GatewayView): Disagreement[] {
  if (!gateway.asked) return [];
  const { state, payment, total } = row;
  const { holds, charges } = gateway;
  const between: [Source, Source] = ['row', 'gateway'];
  const found: Disagreement[] = [];
  const has = `the gateway holds ${money({ amount: holds, currency: total.currency })} of ${money(total)}`;
  const isPaid = payment.status === 'CHARGED';
  if (isPaid && holds < total.amount)
    found.push({ between, says: `The row says CHARGED, and ${has}: it was given back outside.`, sequel: PERSON });
  if (isPaid && holds > total.amount)
    found.push({ between, says: `The row says CHARGED, and ${has}: it was charged twice.`, sequel: RECONCILED });
  if (payment.status === 'REFUNDED' && holds > 0)
    found.push({ between, says: `The row says REFUNDED, and ${has}: the refund failed later.`, sequel: RECONCILED });
  const isOurs = payment.status === null || payment.status === 'VOIDED' || payment.status === 'DECLINED';
  if (isOurs && holds > 0 && state.status === 'CANCELLED')
    found.push({ between, says: `The order is cancelled unpaid, and ${has}: a late charge.`, sequel: RECONCILED });
  if (isOurs && holds > 0 && state.status === 'PENDING')
    found.push({
      between,
      says: `No outcome of the charge is on record, and ${has}.`,
      sequel:
        'The next try finds the charge under its key and records it; if the order is given up, its undo gives it back.',
    });
  for (const { disputed, dispute } of charges)
    if (disputed && !isSettled(row, dispute)) found.push({ between, ...disputeOf(dispute) });
  return found;
}

/** The bank has decided, and nothing is left to be done about it: the money's lane goes on telling of it. */
function isSettled(row: OrderRow, dispute: string | null): boolean {
  if (!isFinal(row)) return false;
  const isVouchedFor = row.payment.status === 'SETTLED_OUTSIDE' && (dispute === 'lost' || dispute === 'won');
  return isVouchedFor || (dispute === 'won' && row.state.status === 'CONFIRMED' && row.payment.status === 'CHARGED');
}

function disputeOf(dispute: string | null): Omit<Disagreement, 'between'> {
  if (dispute === 'lost')
    return {
      says: 'The customer’s dispute of the charge is lost: the bank has given the money back.',
      sequel: 'Nothing more is to be given back: an undo that waits for it is to be skipped, and the finding closed.',
    };
  if (dispute === 'won')
    return {
      says: 'The customer’s dispute of the charge is won: the money is the shop’s again.',
      sequel: 'A refund is possible again: an undo that waits for it is to be retried.',
    };
  const how = dispute === null ? '' : ` (${dispute})`;
  return { says: `The customer disputes the charge with their bank${how}.`, sequel: PERSON };
}

/** What the reconciler has found and not settled; whatever is settled is part of what happened. */
function ofFindings({ findings }: OrderRow): Disagreement[] {
  return findings
    .filter((finding) => finding.action !== 'refunded' && finding.action !== 'cancelled' && !isVouched(finding))
    .map(({ id, kind, action, reference, detail }) => ({
      between: ['row', 'gateway'],
      says: `Finding ${id}: ${kind} at ${reference || 'no charge'}${detail === null ? '' : ` (${detail})`}.`,
      sequel: action === 'reported' ? 'It waits for a human.' : `The reconciler is at it (${action}).`,
    }));
}

function ofSaga(row: OrderRow, saga: SagaView, now: number): Disagreement[] {
  if (!saga.asked) return [];
  const between: [Source, Source] = ['row', 'saga'];
  const ends = isFinal(row);
  if (!saga.known) {
    if (ends || row.sagaStartedAt === null || row.state.status !== 'PENDING') return [];
    return [{ between, says: 'The row says that its saga was begun; Temporal knows none.', sequel: RESTARTED }];
  }
  if (ends && saga.execution === 'RUNNING' && now - Date.parse(row.updatedAt) > SETTLES_MS)
    return [
      {
        between,
        says: `The order is ${row.state.status}, and its saga still runs.`,
        sequel: 'It decides nothing any more; it ends when a worker runs it.',
      },
    ];
  if (!ends && saga.execution === 'COMPLETED')
    return [
      {
        between,
        says: 'Temporal says COMPLETED, and the order is not final: it was completed by hand.',
        sequel: RESTARTED,
      },
    ];
  if (!ends && saga.execution !== 'RUNNING' && saga.execution !== 'CONTINUED_AS_NEW')
    return [{ between, says: `The order is not final, and its saga was ${saga.execution}.`, sequel: RESTARTED }];
  return [];
}
const RESTARTED = 'The row decides: the saga is begun anew, and every step finds what was done.';

/** The newest event of an order that is final says so; events are gapless, and only retention takes them, from the beginning. */
function ofEvents(row: OrderRow): Disagreement[] {
  const last = row.events.at(-1);
  if (last === undefined) return [];
  const between: [Source, Source] = ['row', 'events'];
  const found: Disagreement[] = [];
  if (last.sequence !== row.eventCount)
    found.push({
      between,
      says: `The row counts ${row.eventCount} events; the newest is ${last.sequence}.`,
      sequel: PERSON,
    });
  const expected = row.state.status === 'CANCELLED' ? 'order.cancelled' : 'order.confirmed';
  if (
    row.state.status !== 'PENDING' &&
    !row.events.some(({ type }) => type === expected) &&
    row.events[0]?.sequence === 1
  )
    found.push({ between, says: `The order is ${row.state.status}, and no event says ${expected}.`, sequel: PERSON });
  return found;
}

function ofStock({ state, reservations }: OrderRow): Disagreement[] {
  const isHeld = reservations.some(({ state: held }) => held === 'RESERVED' || held === 'SOLD');
  const isUnsold = reservations.some(({ state: held }) => held !== 'SOLD');
  const between: [Source, Source] = ['row', 'stock'];
  if (state.status === 'CANCELLED' && isHeld)
    return [{ between, says: 'The order is cancelled, and pieces are held for it.', sequel: PERSON }];
  if (state.status === 'CONFIRMED' && state.unwindingReason === null && isUnsold)
    return [{ between, says: 'The order is confirmed, and not all of its pieces are sold.', sequel: PERSON }];
  return [];
}
