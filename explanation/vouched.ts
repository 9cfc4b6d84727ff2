/** What operators have vouched for of an order: that a step has been done by hand, by whom, when, and why. */
import { isVouched } from '../domain/reconciliation-findings.js';
import { money } from '../contracts/amounts.js';
import type { OrderRow } from './order-row.js';
import { clock } from './plain-words.js';

export type Vouch = { step: string; by: string | null; at: string | null; reason: string | null };

/** @returns the newest word on each step that was skipped */
export function vouchFor({ log, findings }: OrderRow, step: string): Vouch | null {
  const skipped = log.findLast((entry) => entry.step === step && entry.outcome === 'skipped');
  if (skipped === undefined) return null;
  const said = log.findLast(
    ({ step: what, outcome, detail, at }) =>
      what === 'resolve' && outcome === 'skip' && (detail ?? '').startsWith(`${step}, `) && at <= skipped.at,
  );
  // `<step>, <how the saga stood>: <reason>` (domain/saga-log)
  const reason = said?.detail?.replace(/^[^:]*: ?/, '') || null;
  return { step, by: skipped.actor ?? said?.actor ?? wordless(findings), at: skipped.at, reason };
}

const wordless = (findings: OrderRow['findings']): string | null => findings.find(isVouched)?.closedBy ?? null;

/** `as op-7 vouched at …: "reason"` */
export const wordOf = (vouch: Vouch | null): string =>
  vouch === null
    ? 'as an operator vouched'
    : `as ${vouch.by ?? 'an operator'} vouched${vouch.at === null ? '' : ` at ${clock(vouch.at)}`}: ${vouch.reason === null ? 'no reason is on record' : `“${vouch.reason}”`}`;

/** Of an order that is SETTLED_OUTSIDE: how the money came, and whether it went back. */
export function settledOutside(row: OrderRow): string {
  const { payment, total } = row;
  const came =
    payment.gatewayReference === null
      ? `${money(total)} was PAID outside the gateway, ${wordOf(vouchFor(row, 'chargePayment'))}`
      : `${money(total)} was charged at the gateway`;
  if (payment.refundReference === null) return `${came}; it is not given back`;
  return `${came}; it was GIVEN BACK outside the gateway, ${wordOf(vouchFor(row, 'refundPayment'))}`;
}
