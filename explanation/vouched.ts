/** What operators have vouched for of an order: that a step has been done by hand, by whom, when, and why. */
import { isVouched } from '../domain/reconciliation-findings.js';
import { money } from '../contracts/amounts.js';
import type { GatewayView } from './gateway-view.js';
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

/** Who decides where nobody is authenticated, and gives no name (api/access/permissions). */
const NOBODY = 'anonymous';

/** `as op-7 vouched at …: "reason"` */
export const wordOf = (vouch: Vouch | null): string =>
  vouch === null
    ? 'as an operator vouched'
    : `as ${whoOf(vouch)} vouched${vouch.at === null ? '' : ` at ${clock(vouch.at)}`}: ${vouch.reason === null ? 'no reason is on record' : `“${vouch.reason}”`}`;

export const whoOf = (vouch: Vouch | null): string =>
  vouch?.by === NOBODY ? 'an operator (no authentication)' : (vouch?.by ?? 'an operator');

/** Somebody has vouched for the payment itself. A charge that was given up, and its refund skipped, names no charge either: nobody has. */
const isPaymentVouched = (row: OrderRow): boolean =>
  row.payment.refundReference === null ||
  vouchFor(row, 'chargePayment') !== null ||
  // Of a log that is longer than is read: a payment is told of when it is vouched for, and not when it is given up.
  (row.payment.gatewayReference === null && row.events.some(({ type }) => type === 'payment.charged'));

/** Of an order that is SETTLED_OUTSIDE: how the money came, and whether it went back. */
export function settledOutside(row: OrderRow, gateway: GatewayView): string {
  const { payment } = row;
  const came = cameOf(row, gateway);
  if (payment.refundReference === null) return `${came}; it is not given back`;
  return `${came}; it was GIVEN BACK outside the gateway, ${wordOf(vouchFor(row, 'refundPayment'))}`;
}

function cameOf(row: OrderRow, gateway: GatewayView): string {
  const whole = money(row.total);
  if (row.payment.gatewayReference !== null) return `${whole} was charged at the gateway`;
  if (isPaymentVouched(row)) return `${whole} was PAID outside the gateway, ${wordOf(vouchFor(row, 'chargePayment'))}`;
  if (!gateway.asked) return `no charge of ${whole} is on record, and whether the gateway has taken one is not known`;
  const taken = gateway.charges.reduce((sum, { received }) => sum + received, 0);
  return taken > 0
    ? `${money({ ...row.total, amount: taken })} was charged at the gateway, whose answer was lost`
    : `no charge of ${whole} is on record, and the gateway lists none`;
}
