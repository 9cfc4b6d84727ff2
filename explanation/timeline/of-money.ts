/** The money's lane of a timeline: as the gateway's own ledger has it; where that cannot be asked, as it was recorded here. */
import { money } from '../../contracts/amounts.js';
import { isVouched } from '../../domain/reconciliation-findings.js';
import type { GatewayView, HeldCharge } from '../gateway-view.js';
import { actsOfReconciler } from '../explain.js';
import { afterAct, chargeableFrom } from '../happened.js';
import type { Periods } from '../periods.js';
import type { LogEntry, OrderRow } from '../order-row.js';
import { type Entry, type EntryStatus, moment } from './entries.js';

const MONEY = { lane: 'money' } as const;

export function moneyEntries(row: OrderRow, gateway: GatewayView, periods: Periods): Entry[] {
  const { payment } = row;
  const known = gateway.asked ? gateway.charges.flatMap((charge) => ofCharge(row, charge)) : ofRecord(row);
  return [
    ...known,
    ...(payment.status === 'SETTLED_OUTSIDE' ? settledOutside(row) : []),
    ...ofFindings(row),
    ...row.log.filter(({ step }) => step === 'reconciliation').map(ofReconciler),
    ...actsOfReconciler({ row, gateway }, periods, Date.now()).map(
      ({ what, at }): Entry => ({
        at,
        until: null,
        ...MONEY,
        kind: 'next',
        status: 'awaited',
        source: 'finding',
        what,
      }),
    ),
  ];
}

const CHARGES: Record<HeldCharge['state'], { status: EntryStatus; says: string }> = {
  succeeded: { status: 'done', says: 'charged' },
  processing: { status: 'running', says: 'a charge is being processed' },
  open: { status: 'waiting', says: 'a charge is open, and may still be completed' },
  over: { status: 'refused', says: 'a charge took nothing, and never will' },
};
const REFUNDS: Record<HeldCharge['refunds'][number]['status'], { status: EntryStatus; says: string }> = {
  succeeded: { status: 'done', says: 'given back' },
  pending: { status: 'running', says: 'a refund is under way' },
  requires_action: { status: 'waiting', says: 'a refund waits for the customer' },
  failed: { status: 'failed', says: 'a refund failed: the charge holds the money again' },
  canceled: { status: 'failed', says: 'a refund was called off: the charge holds the money again' },
};
const GOES_ON = new Set<EntryStatus>(['running', 'waiting', 'disputed']);

function ofCharge(row: OrderRow, charge: HeldCharge): Entry[] {
  const { currency, reference, refunds, dispute, disputedAt } = charge;
  const at = (moment: string, since: string, status: EntryStatus) => {
    const placed = afterAct(moment, since);
    return { at: placed, until: GOES_ON.has(status) ? null : placed };
  };
  const chargedAfter = chargeableFrom(row);
  const refundedAfter = row.log.find(({ step }) => step === 'unwinding')?.at ?? row.createdAt;
  const { status, says } = CHARGES[charge.state];
  const taken = { amount: charge.state === 'succeeded' ? charge.received : charge.amount, currency };
  const found: Entry[] = [
    {
      ...{ ...at(charge.at, chargedAfter, status), ...MONEY, kind: 'charge', status, source: 'gateway' },
      what: `${says}: ${money(taken)}`,
      money: { ...taken, reference },
    },
    ...refunds.map((refund): Entry => {
      const { amount, status: state, at: since } = refund;
      const told = REFUNDS[state];
      return {
        ...{
          ...at(since, refundedAfter, told.status),
          ...MONEY,
          kind: 'refund',
          status: told.status,
          source: 'gateway',
        },
        what: `${told.says}: ${money({ amount, currency })}`,
        money: { amount, currency, reference: refund.reference },
      };
    }),
  ];
  if (dispute === null || disputedAt === null) return found;
  const how: EntryStatus = dispute === 'won' ? 'done' : dispute === 'lost' ? 'failed' : 'disputed';
  const disputed = {
    ...at(disputedAt, row.createdAt, how),
    ...MONEY,
    kind: 'dispute',
    status: how,
    source: 'gateway',
  } as const;
  return [
    ...found,
    { ...disputed, what: `the customer disputes the charge (${dispute})`, money: { ...taken, reference } },
  ];
}

/** What was seen of it when it was recorded. */
function ofRecord(row: OrderRow): Entry[] {
  const { payment, total } = row;
  const { status, at, updatedAt, gatewayReference, refundReference, refundedAmount, declineCode } = payment;
  if (status === null || at === null || total.amount === 0) return [];
  if (status === 'SETTLED_OUTSIDE' && !skippedIn(row).some(({ step }) => step === 'refundPayment')) return [];
  const recorded = { ...MONEY, source: 'row' } as const;
  if (status === 'DECLINED')
    return [
      {
        ...{ ...recorded, ...moment(at), kind: 'charge', status: 'refused' },
        what: `declined${declineCode === null ? '' : ` (${declineCode})`}: ${money(total)}, as recorded`,
        money: { ...total, reference: gatewayReference },
      },
    ];
  if (gatewayReference === null) return [];
  const charged: Entry = {
    ...{ ...recorded, ...moment(at), kind: 'charge', status: 'done' },
    what: `charged: ${money(total)}, as recorded`,
    money: { ...total, reference: gatewayReference },
  };
  if (status !== 'REFUNDED' && status !== 'REFUNDING') return [charged];
  const back = { amount: refundedAmount ?? total.amount, currency: total.currency };
  const isDone = status === 'REFUNDED' && payment.pendingAt === null;
  const refund: Entry = {
    ...{ ...recorded, at: updatedAt ?? at, until: isDone ? (updatedAt ?? at) : null, kind: 'refund' },
    status: isDone ? 'done' : 'running',
    what: `${isDone ? 'given back' : 'being given back'}: ${money(back)}, as recorded`,
    money: { ...back, reference: refundReference },
  };
  return [charged, refund];
}

/** What an operator has done by other means, and said so by skipping it. */
const OUTSIDE: Record<string, { kind: 'charge' | 'refund'; says: string }> = {
  chargePayment: { kind: 'charge', says: 'paid by other means' },
  refundPayment: { kind: 'refund', says: 'given back by other means' },
};

const skippedIn = ({ log }: OrderRow): LogEntry[] =>
  log.filter(({ step, outcome }) => outcome === 'skipped' && step in OUTSIDE);

function settledOutside(row: OrderRow): Entry[] {
  const { payment, total, createdAt, findings } = row;
  const vouched = findings.find(isVouched)?.closedBy ?? null;
  const skipped = skippedIn(row);
  // An order whose log is gone has its payment's word alone.
  const told = skipped.length > 0 ? skipped : [{ step: 'chargePayment', at: payment.at ?? createdAt, actor: vouched }];
  return told.map(({ step, at, actor }) => {
    const { kind, says } = OUTSIDE[step] ?? { kind: 'charge', says: 'settled by other means' };
    const by = actor ?? vouched;
    return {
      ...{ ...moment(at), ...MONEY, kind, status: 'skipped', source: skipped.length > 0 ? 'log' : 'row' },
      what: `${says}: ${money(total)}, as an operator has vouched`,
      ...(by !== null && { by }),
      money: { ...total, reference: kind === 'charge' ? payment.gatewayReference : null },
    } satisfies Entry;
  });
}

/** Settled by machines, or closed by an operator. */
const SETTLED = new Set(['refunded', 'cancelled']);

function ofFindings({ findings }: OrderRow): Entry[] {
  return findings
    .filter((finding) => !isVouched(finding)) // the log has it, as the step that was skipped
    .map((finding) => {
      const { id, kind, action, at, updatedAt, amount, currency, reference, closedBy, reason } = finding;
      const isSettled = SETTLED.has(action);
      return {
        ...{ at: at.toISOString(), until: isSettled ? updatedAt.toISOString() : null, ...MONEY, kind: 'finding' },
        ...{ status: isSettled ? 'done' : action === 'reported' ? 'reported' : 'running', source: 'finding' },
        what: `finding ${id}: ${kind}, ${action}: ${money({ amount, currency })}`,
        ...(closedBy !== null && { by: closedBy }),
        ...(reason !== null && { reason }),
        money: { amount, currency, reference: reference || null },
      } as Entry;
    });
}

function ofReconciler({ at, outcome, actor, detail }: OrderRow['log'][number]): Entry {
  return {
    ...{ ...moment(at), ...MONEY, kind: 'decision', status: 'decided', source: 'log' },
    what: `reconciliation: ${outcome}`,
    ...(actor !== null && { by: actor }),
    ...(detail !== null && { reason: detail }),
  };
}
