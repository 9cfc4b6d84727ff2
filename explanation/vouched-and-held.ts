/**
 * Money that the gateway holds of an order that is final, and that an operator has vouched for otherwise: as given back, or as paid by
 * another way. Both may be true, and then somebody has too much. No machine moves it: what operators vouch for nobody checks.
 */
import { money } from '../contracts/amounts.js';
import type { Money } from '../contracts/orders.js';
import type { Finding } from '../domain/reconciliation-findings.js';
import type { GatewayView } from './gateway-view.js';
import type { NextAct } from './next-acts.js';
import type { OrderRow } from './order-row.js';
import type { Periods } from './periods.js';
import { isFinal } from './situation.js';
import { byListing } from './surplus.js';
import { vouchFor, whoOf } from './vouched.js';

/** `finding`: what the reconciler has made of it; null = it has not seen it yet. */
export type VouchedAndHeld = { amount: Money; reference: string; isBack: boolean; finding: Finding | null };

/** @returns null if the gateway holds none, or what it holds is in dispute, or an operator has closed the finding of it */
export function vouchedAndHeld(row: OrderRow, gateway: GatewayView): VouchedAndHeld | null {
  const { payment, total, findings } = row;
  if (!gateway.asked || !isFinal(row) || payment.status !== 'SETTLED_OUTSIDE') return null;
  const holding = gateway.charges.filter(
    ({ received, refunded, disputed, dispute }) => received > refunded && (!disputed || dispute === 'won'),
  );
  const [first] = holding;
  if (first === undefined) return null;
  const amount = holding.reduce((sum, { received, refunded }) => sum + received - refunded, 0);
  const known = findings.filter(({ id, kind }) => id !== null && kind === 'SETTLED_OUTSIDE');
  const finding = known.find(({ action }) => action === 'reported') ?? null;
  if (finding === null && known.some(({ action }) => action === 'cancelled')) return null;
  const isBack = payment.refundReference !== null;
  return { amount: { ...total, amount }, reference: first.reference, isBack, finding };
}

/** What is told of it where the sources do not agree. */
export function saysOf({ amount, isBack }: VouchedAndHeld, row: OrderRow): string {
  const whole = money(amount);
  const { status } = row.state;
  return isBack
    ? `The gateway holds ${whole} of an order that is ${status}, and whose money ${whoOf(vouchFor(row, 'refundPayment'))} vouched was given back outside.`
    : `The gateway holds ${whole} of an order whose payment by another way ${whoOf(vouchFor(row, 'chargePayment'))} vouched for: if both are true, the customer has paid twice.`;
}

export function sequelOfHeld({ finding, ...held }: VouchedAndHeld, { id }: OrderRow): string {
  const which =
    finding === null
      ? `The reconciler opens a finding (SETTLED_OUTSIDE), which \`ops reconcile --order ${id}\` lists`
      : `It is finding ${finding.id} (SETTLED_OUTSIDE), which waits for you`;
  return `No machine gives it back. ${which}: ${wayOf(held)}`;
}

export const usualOfHeldMoney = (held: VouchedAndHeld, row: OrderRow): string =>
  `ask ${whoOf(vouchFor(row, held.isBack ? 'refundPayment' : 'chargePayment'))} whether it is true: ${wayOf(held)}`;

function wayOf({ amount, reference, isBack }: Omit<VouchedAndHeld, 'finding'>): string {
  const whole = money(amount);
  return isBack
    ? `unless the customer has in truth been given ${whole}, refund ${reference} by hand at the gateway, whereupon the finding closes by itself; else close the finding.`
    : `if the customer has in truth paid by another way, too, refund ${reference} (${whole}) by hand at the gateway, whereupon the finding closes by itself; else close the finding.`;
}

/** The finding that is not there yet, and will be. */
export function findingOfHeld(row: OrderRow, gateway: GatewayView, periods: Periods, now: number): NextAct[] {
  const held = vouchedAndHeld(row, gateway);
  if (held === null || held.finding !== null || !gateway.asked) return [];
  const at = byListing(gateway, row, periods, now);
  const what = 'the reconciler opens a finding for you (SETTLED_OUTSIDE); no money moves by it';
  return at === null
    ? [{ what: `${what}. The charge is so old that it does so only if it is asked to`, at }]
    : [{ what, at, atLatest: true }];
}
