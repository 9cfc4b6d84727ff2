/** Where the order's row, its saga, the gateway's ledger and its events do not say the same. Nothing here is decided: it is marked. */
import { money } from '../contracts/amounts.js';
import { isVouched } from '../domain/reconciliation-findings.js';
import { givenOutside, isOpen } from './given-outside.js';
import { isFinal } from './situation.js';
import type { GatewayView } from './gateway-view.js';
import type { NextAct } from './next-acts.js';
import type { OrderFacts } from './order-facts.js';
import type { OrderRow } from './order-row.js';
import type { Periods } from './periods.js';
import { clock } from './plain-words.js';
import type { SagaView } from './saga-view.js';
import { sequelOf, surplusOf } from './surplus.js';
import { saysOf, sequelOfHeld, vouchedAndHeld } from './vouched-and-held.js';

export type Source = 'row' | 'saga' | 'gateway' | 'events' | 'stock';
export type Disagreement = {
  between: [Source, Source];
  says: string;
  /** What becomes of it by itself, or who must look. */
  sequel: string;
};

/** A saga commits its order's end before its own: so long a difference is the way of things. */
const SETTLES_MS = 60_000;

export type Looked = { periods: Periods; now: number; next: NextAct[] };

export function disagreementsOf(
  { row, saga, gateway }: Pick<OrderFacts, 'row' | 'saga' | 'gateway'>,
  looked: Looked,
): Disagreement[] {
  return [
    ...ofMoney(row, gateway, looked),
    ...ofFindings(row, gateway),
    ...ofSaga(row, saga, looked),
    ...ofEvents(row),
    ...ofStock(row),
  ];
}

const lookAt = ({ id }: OrderRow): string =>
  `No machine decides this: the reconciler opens a finding for you, which \`ops reconcile --order ${id}\` lists.`;
const bugIn = ({ id }: OrderRow): string =>
  `No machine mends this, and it should not be: see \`ops order ${id}\`, and tell whoever maintains this service.`;

function ofMoney(row: OrderRow, gateway: GatewayView, { periods, now }: Looked): Disagreement[] {
  if (!gateway.asked) return [];
  const { state, payment, total } = row;
  const { holds, charges } = gateway;
  const between: [Source, Source] = ['row', 'gateway'];
  const found: Disagreement[] = [];
  const has = `the shop holds ${money({ amount: holds, currency: total.currency })} at the gateway, of ${money(total)}`;
  const surplus = surplusOf(row, gateway, periods, now);
  const sequel = surplus === null ? lookAt(row) : sequelOf(surplus, row, periods);
  const isPaid = payment.status === 'CHARGED';
  const outside = givenOutside(row, gateway);
  if (outside !== null)
    found.push({
      between,
      says: `We have it as CHARGED, and ${has}.`,
      sequel:
        outside.finding === null
          ? 'No machine decides this: the reconciler opens a finding for you.'
          : `It is finding ${outside.finding.id} (REFUNDED_AT_GATEWAY), which ${isOpen(outside.finding) ? 'waits for you' : 'is closed'}.`,
    });
  else if (isPaid && holds < total.amount)
    found.push({ between, says: `We have it as CHARGED, and ${has}: it was given back outside.`, sequel: lookAt(row) });
  if (isPaid && holds > total.amount)
    found.push({ between, says: `We have it as CHARGED once, and ${has}: it was charged twice.`, sequel });
  if (payment.status === 'REFUNDED' && holds > 0)
    found.push({ between, says: `We have it as REFUNDED, and ${has}: the refund failed later.`, sequel });
  const isOurs = payment.status === null || payment.status === 'VOIDED' || payment.status === 'DECLINED';
  if (isOurs && holds > 0 && state.status === 'CANCELLED')
    found.push({ between, says: `The order is cancelled unpaid, and ${has}: a late charge.`, sequel });
  if (isOurs && holds > 0 && state.status === 'PENDING')
    found.push({
      between,
      says: `No outcome of the charge is on record, and ${has}.`,
      sequel:
        'The next try finds the charge under its key and records it; if the order is given up, its undo gives it back.',
    });
  const vouched = vouchedAndHeld(row, gateway);
  if (vouched !== null) found.push({ between, says: saysOf(vouched, row), sequel: sequelOfHeld(vouched, row) });
  for (const { disputed, dispute, answerBy } of charges)
    if (disputed && !isSettled(row, dispute)) found.push({ between, ...disputeOf(row, dispute, answerBy) });
  return found;
}

/** The bank has decided, and nothing is left to be done about it: the money's lane goes on telling of it. */
function isSettled(row: OrderRow, dispute: string | null): boolean {
  if (!isFinal(row)) return false;
  const isVouchedFor = row.payment.status === 'SETTLED_OUTSIDE' && (dispute === 'lost' || dispute === 'won');
  return isVouchedFor || (dispute === 'won' && row.state.status === 'CONFIRMED' && row.payment.status === 'CHARGED');
}

function disputeOf(row: OrderRow, dispute: string | null, answerBy: string | null): Omit<Disagreement, 'between'> {
  if (dispute === 'lost')
    return {
      says: 'The shop has lost the customer’s dispute of the charge.',
      sequel: `Nothing more is to be given back${isFinal(row) ? '' : ': skip the undo that waits for it'}.`,
    };
  if (dispute === 'won')
    return {
      says: 'The shop has won the customer’s dispute of the charge: the money is the shop’s again.',
      sequel: 'A refund is possible again: an undo that waits for it is to be retried.',
    };
  const how = dispute === null ? '' : ` (${dispute})`;
  const whole = money(row.total);
  const when = answerBy === null ? 'in time (the gateway’s dashboard has the date)' : `by ${clock(answerBy)}`;
  return {
    says: `The customer disputes the charge with their bank${how}.`,
    sequel: `Somebody has to answer or accept it in the gateway’s dashboard, ${when}: else the shop loses ${whole}, which the bank takes from it and gives to the customer. No machine of ours answers.`,
  };
}

/** What the reconciler has found and not settled; whatever is settled is part of what happened. */
function ofFindings(row: OrderRow, gateway: GatewayView): Disagreement[] {
  const { id: orderId, findings } = row;
  const told = [givenOutside(row, gateway)?.finding, vouchedAndHeld(row, gateway)?.finding];
  return findings
    .filter((finding) => !told.includes(finding))
    .filter((finding) => finding.action !== 'refunded' && finding.action !== 'cancelled' && !isVouched(finding))
    .map(({ id, kind, action, reference, detail }) => ({
      between: ['row', 'gateway'],
      says: `Finding ${id}: ${kind} at ${reference || 'no charge'}${detail === null ? '' : ` (${detail})`}.`,
      sequel:
        action === 'reported'
          ? `It waits for you (\`ops reconcile --order ${orderId}\` lists it).`
          : `The reconciler is at it (${action}), and goes on with every pass.`,
    }));
}

function ofSaga(row: OrderRow, saga: SagaView, { now, next }: Looked): Disagreement[] {
  if (!saga.asked) return [];
  const between: [Source, Source] = ['row', 'saga'];
  const ends = isFinal(row);
  const sequel = restarted(row, next);
  if (!saga.known) {
    if (ends || row.sagaStartedAt === null || row.state.status !== 'PENDING') return [];
    return [{ between, says: 'We have its saga as begun; Temporal knows none.', sequel }];
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
      { between, says: 'Temporal says COMPLETED, and the order is not final: it was completed by hand.', sequel },
    ];
  if (!ends && saga.execution !== 'RUNNING' && saga.execution !== 'CONTINUED_AS_NEW')
    return [{ between, says: `The order is not final, and its saga was ${saga.execution}.`, sequel }];
  return [];
}

/** What the order is decides, not what Temporal has: its saga is begun anew, sooner or later, and for one thing or the other. */
function restarted({ state }: OrderRow, next: NextAct[]): string {
  const at = next.find((act) => act.at !== null)?.at ?? null;
  if (state.unwindingReason !== null) return 'A relay begins it anew by itself, and the order goes on being CANCELLED.';
  const [act] = next;
  if (at === null) return 'A relay begins it anew by itself, and the order GOES ON.';
  return act?.atLatest
    ? `A relay begins it anew by ${clock(at)}, and the order GOES ON.`
    : `Nothing happens until ${clock(at)}. Then it is begun anew, and the order CANCELLED; \`ops retry\` before then lets it GO ON.`;
}

/** The newest event of an order that is final says so; events are gapless, and only retention takes them, from the beginning. */
function ofEvents(row: OrderRow): Disagreement[] {
  const last = row.events.at(-1);
  if (last === undefined) return [];
  const between: [Source, Source] = ['row', 'events'];
  const found: Disagreement[] = [];
  if (last.sequence !== row.eventCount)
    found.push({
      between,
      says: `We have counted ${row.eventCount} events of it; the newest is ${last.sequence}.`,
      sequel: bugIn(row),
    });
  const expected = row.state.status === 'CANCELLED' ? 'order.cancelled' : 'order.confirmed';
  if (
    row.state.status !== 'PENDING' &&
    !row.events.some(({ type }) => type === expected) &&
    row.events[0]?.sequence === 1
  )
    found.push({
      between,
      says: `The order is ${row.state.status}, and no event says ${expected}.`,
      sequel: bugIn(row),
    });
  return found;
}

function ofStock(row: OrderRow): Disagreement[] {
  const { state, reservations } = row;
  const isHeld = reservations.some(({ state: held }) => held === 'RESERVED' || held === 'SOLD');
  const isUnsold = reservations.some(({ state: held }) => held !== 'SOLD');
  const between: [Source, Source] = ['row', 'stock'];
  if (state.status === 'CANCELLED' && isHeld)
    return [{ between, says: 'The order is cancelled, and pieces are held for it.', sequel: bugIn(row) }];
  if (state.status === 'CONFIRMED' && state.unwindingReason === null && isUnsold)
    return [{ between, says: 'The order is confirmed, and not all of its pieces are sold.', sequel: bugIn(row) }];
  return [];
}
