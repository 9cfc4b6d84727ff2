/**
 * Money of a confirmed order that somebody has given back at the gateway, past this service. No machine knows what was meant by it: the
 * reconciler opens a finding and moves nothing; cancelled, the order agrees with the gateway again, and the finding closes by itself.
 */
import { money } from '../contracts/amounts.js';
import type { Money } from '../contracts/orders.js';
import type { Finding } from '../domain/reconciliation-findings.js';
import type { GatewayView } from './gateway-view.js';
import type { NextAct } from './next-acts.js';
import type { OrderRow } from './order-row.js';
import type { Periods } from './periods.js';
import { isFinal } from './situation.js';

/** `finding`: what the reconciler has made of it; null = it has not seen it yet. */
export type GivenOutside = { amount: Money; finding: Finding | null };

/** @returns null if nothing went back so, or if a dispute of the charge is what is to be decided */
export function givenOutside(row: OrderRow, gateway: GatewayView): GivenOutside | null {
  const { state, payment, total, findings } = row;
  if (!gateway.asked || !isFinal(row) || state.status !== 'CONFIRMED' || payment.status !== 'CHARGED') return null;
  const charge = gateway.charges.find(({ reference }) => reference === payment.gatewayReference);
  if (charge === undefined || charge.refunded <= 0 || charge.disputed) return null;
  const finding =
    findings.find(({ kind, reference }) => kind === 'REFUNDED_AT_GATEWAY' && reference === charge.reference) ?? null;
  return { amount: { amount: charge.refunded, currency: total.currency }, finding };
}

export const isOpen = (finding: Finding | null): boolean => finding?.action === 'reported';

/** The ways that there are, for whoever has to choose. */
export function usualOfGivenOutside({ amount, finding }: GivenOutside): string {
  const whole = money(amount);
  if (finding !== null && !isOpen(finding))
    return `nothing is to be done: finding ${finding.id}, that ${whole} went back, is closed (${finding.closedBy ?? 'by itself'}: ${finding.reason ?? 'no reason on record'}).`;
  const which = finding === null ? 'the finding that comes' : `finding ${finding.id}`;
  return `ask who gave the ${whole} back, and why. To end the order: \`ops cancel\`, and ${which} closes by itself. Out of goodwill: close ${which}; the order stays, and the shop bears ${whole}. By mistake: have the customer pay anew by hand, then close it. Until it is known, have the goods held.`;
}

/** Findings that are not there yet, and will be: the reconciler reads the newest refunds at every pass, disputes as often as refunds are followed. */
export function findingsAhead(row: OrderRow, gateway: GatewayView, periods: Periods, now: number): NextAct[] {
  if (!gateway.asked) return [];
  const act = (kind: string, inMs: number): NextAct => ({
    what: `the reconciler opens a finding for you (${kind}); no money moves by it`,
    at: new Date(now + inMs + periods.reconcileEveryMs).toISOString(),
    atLatest: true,
  });
  const acts: NextAct[] = givenOutside(row, gateway)?.finding === null ? [act('REFUNDED_AT_GATEWAY', 0)] : [];
  const isKnown = row.findings.some(({ kind }) => kind === 'DISPUTED');
  const disputed = gateway.charges.find((charge) => charge.disputed && charge.dispute !== 'won');
  if (disputed === undefined || isKnown || row.payment.status === 'SETTLED_OUTSIDE') return acts;
  const isYoung = disputed.disputedAt !== null && now - Date.parse(disputed.disputedAt) < periods.refundYoungForMs;
  return [...acts, act('DISPUTED', isYoung ? periods.refundCheckEveryMs : periods.refundRecheckEveryMs)];
}
