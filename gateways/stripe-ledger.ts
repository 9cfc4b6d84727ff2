/** The gateway's own ledger, read through Stripe's official client. */
import type Stripe from 'stripe';
import { timeFor } from './deadline.js';
import { MARKS } from './marks.js';
import {
  GatewayUnknown,
  type LedgerCharge,
  type LedgerDispute,
  type LedgerRefund,
  type PageRequest,
  type PaymentLedger,
  type RefundStatus,
} from './payments.js';
import { answered, isMissing, wordOf } from './stripe-errors.js';
import type { GatewayClock } from './stripe-http.js';

const PAGE_MAX = 100;
/** The charge says what of it was refunded; the intent alone does not. */
export const WITH_CHARGE = 'latest_charge';

/** What each part of the adapter asks the gateway with. */
export type StripeParts = { stripe: Stripe; ledger: PaymentLedger; clock: GatewayClock; timeoutMs: number };

export function createLedger(stripe: Stripe, timeoutMs: number, clock: GatewayClock): PaymentLedger {
  const within = ({ deadline }: Pick<PageRequest, 'deadline'>) => ({ timeout: timeFor(timeoutMs, deadline) });
  return {
    listCharges: (request) =>
      answered(async () => {
        const page = await stripe.paymentIntents.list(
          { ...pageOf(request), expand: [`data.${WITH_CHARGE}`] },
          within(request),
        );
        return { items: page.data.map(toCharge), ...afterOf(page, request) };
      }),
    listRefunds: (request) =>
      answered(async () => {
        const page = await stripe.refunds.list(pageOf(request), within(request));
        return { items: page.data.flatMap(toRefund), ...afterOf(page, request) };
      }),
    listDisputes: (request) =>
      answered(async () => {
        const page = await stripe.disputes.list(pageOf(request), within(request));
        return { items: page.data.flatMap(toDispute), ...afterOf(page, request) };
      }),
    findCharges: (orderId) =>
      answered(async () => (await searchIntents(stripe, orderId, { timeout: timeoutMs })).map(toCharge)),
    readCharge: (reference) => answered(() => readCharge(stripe, reference, { timeout: timeoutMs })),
    readRefunds: (reference) => answered(() => readRefunds(stripe, reference, { timeout: timeoutMs })),
    readDisputes: (reference) =>
      answered(async () => {
        const page = await stripe.disputes.list({ payment_intent: reference, limit: PAGE_MAX }, { timeout: timeoutMs });
        return page.data.flatMap(toDispute).filter(({ chargeReference }) => chargeReference === reference);
      }),
    callOff: (reference) =>
      answered(async () => {
        await stripe.paymentIntents.cancel(reference, undefined, { timeout: timeoutMs });
      }),
    nowMs: clock.nowMs,
  };
}

type Limits = { timeout: number };

export async function readCharge(stripe: Stripe, reference: string, limits: Limits): Promise<LedgerCharge | null> {
  try {
    const intent = await stripe.paymentIntents.retrieve(reference, { expand: [WITH_CHARGE] }, limits);
    return toCharge(sameIntent(reference, intent));
  } catch (err) {
    if (isMissing(err)) return null;
    throw err;
  }
}

/** An answer about another charge than was asked for says nothing. @throws GatewayUnknown */
export function sameIntent(reference: string, intent: Stripe.PaymentIntent): Stripe.PaymentIntent {
  if (intent.id !== reference) throw new GatewayUnknown('The payment gateway answered about another charge');
  return intent;
}

/** Of one charge: more have never been made. */
const REFUND_PAGES_MAX = 10;

/**
 * All refunds of a charge.
 * @throws GatewayUnknown if the list promises more than it shows: what it leaves out may be what we have just given back
 */
export async function readRefunds(stripe: Stripe, reference: string, limits: Limits): Promise<LedgerRefund[]> {
  const all: Stripe.Refund[] = [];
  let after: string | undefined;
  for (let pages = 0; pages < REFUND_PAGES_MAX; pages++) {
    const from = after === undefined ? {} : { starting_after: after };
    const page = await stripe.refunds.list({ payment_intent: reference, limit: PAGE_MAX, ...from }, limits);
    all.push(...page.data);
    after = afterOf(page, { ...(after !== undefined && { after }) }).after;
    if (after === undefined)
      return all.flatMap(toRefund).filter(({ chargeReference }) => chargeReference === reference);
  }
  throw new GatewayUnknown(`The payment gateway’s list of refunds of ${reference} does not end`);
}

/** Search answers fast but late: what it finds is there, what it does not find proves nothing. */
export async function searchIntents(stripe: Stripe, orderId: string, limits: Limits): Promise<Stripe.PaymentIntent[]> {
  // A quote would end the query's own: what is not a plain word is no order's id.
  if (!/^[\w.:-]{1,100}$/.test(orderId)) return [];
  const query = `metadata['${MARKS.orderId}']:'${orderId}'`;
  const found = await stripe.paymentIntents.search({ query, limit: PAGE_MAX, expand: [`data.${WITH_CHARGE}`] }, limits);
  return found.data;
}

/** Whole seconds, outwards: nothing of the span may be left out. */
const pageOf = ({ since, until, after }: PageRequest) => ({
  created: {
    gte: Math.floor(since.getTime() / 1000),
    ...(until && { lte: Math.ceil(until.getTime() / 1000) }),
  },
  limit: PAGE_MAX,
  ...(after !== undefined && { starting_after: after }),
});

/** Places in lists that are remembered, each a last entry with its age. */
const PLACES_MAX = 1_000;
const places = new Map<string, number>();

/**
 * Lists end: a page that comes again, that promises more and has nothing, or whose entries are younger than those before it
 * would be asked for for ever.
 * @throws GatewayUnknown for such a page
 */
function afterOf(
  { has_more, data }: { has_more: boolean; data: { id: string; created: number }[] },
  { after }: Pick<PageRequest, 'after'>,
): { after?: string } {
  if (!has_more) return {};
  const last = data.at(-1);
  const reached = after === undefined ? undefined : places.get(after);
  const rises = reached !== undefined && data.some(({ created }) => created > reached);
  if (last === undefined || rises || data.some(({ id }) => id === after))
    throw new GatewayUnknown('The payment gateway’s list goes round in circles');
  const [oldest] = places.keys();
  if (oldest !== undefined && places.size >= PLACES_MAX) places.delete(oldest);
  places.set(last.id, last.created);
  return { after: last.id };
}

const toDate = (seconds: number): Date => new Date(seconds * 1000);
const idOf = (of: string | { id: string }): string => (typeof of === 'string' ? of : of.id);

export function toCharge(intent: Stripe.PaymentIntent): LedgerCharge {
  requireSense(intent, [intent.amount, intent.amount_received, intent.created]);
  const charge = typeof intent.latest_charge === 'object' ? intent.latest_charge : null;
  const { status, last_payment_error: error } = intent;
  const declined = status === 'canceled' ? status : (wordOf(error?.decline_code) ?? wordOf(error?.code));
  return {
    reference: intent.id,
    orderId: intent.metadata?.[MARKS.orderId] ?? null,
    installationId: intent.metadata?.[MARKS.installationId] ?? null,
    purpose: intent.metadata?.[MARKS.purpose] ?? null,
    state: stateOf(intent.status),
    ...(declined && { declined }),
    amount: intent.amount,
    received: intent.amount_received,
    refunded: intent.status === 'succeeded' ? (charge?.amount_refunded ?? 0) : 0,
    currency: String(intent.currency).toUpperCase(),
    disputed: charge?.disputed ?? false,
    createdAt: toDate(intent.created),
  };
}

/** What lacks these is no object of the gateway's, whatever answered: nothing can be concluded from it. */
function requireSense({ id, status }: { id: unknown; status: unknown }, numbers: unknown[]): void {
  if (typeof id !== 'string' || typeof status !== 'string' || !numbers.every(Number.isSafeInteger))
    throw new GatewayUnknown('The payment gateway’s answer makes no sense');
}

const STATUSES = new Set<string>([
  'pending',
  'requires_action',
  'succeeded',
  'failed',
  'canceled',
] satisfies RefundStatus[]);

function toRefund(refund: Stripe.Refund): LedgerRefund[] {
  const { id, payment_intent: of, metadata, amount, status, created } = refund;
  requireSense(refund, [amount, created]);
  if (of === null || of === undefined) return [];
  return [
    {
      reference: id,
      chargeReference: idOf(of),
      orderId: metadata?.[MARKS.orderId] ?? null,
      amount,
      // A status that is not known yet is not final, either.
      status: STATUSES.has(status ?? '') ? (status as RefundStatus) : 'pending',
      createdAt: toDate(created),
    },
  ];
}

function toDispute(dispute: Stripe.Dispute): LedgerDispute[] {
  const { id, payment_intent: of, status, created, evidence_details: evidence } = dispute;
  const dueBy = evidence?.due_by; // 0 = the bank takes none
  requireSense(dispute, [created]);
  if (of === null || of === undefined) return [];
  const answerBy = dueBy && Number.isSafeInteger(dueBy) ? toDate(dueBy) : null;
  return [{ reference: id, chargeReference: idOf(of), status, createdAt: toDate(created), answerBy }];
}

function stateOf(status: Stripe.PaymentIntent.Status): LedgerCharge['state'] {
  switch (status) {
    case 'succeeded':
      return 'succeeded';
    // It takes money when it is completed: by the customer in a tab left open, or by a capture.
    case 'requires_action':
    case 'requires_confirmation':
    case 'requires_capture':
      return 'open';
    // Declined: it takes money only if our own key gives it another card, which nothing of ours does.
    case 'requires_payment_method':
    case 'canceled':
      return 'over';
    // A status that the client does not know yet: it is not acted on, and looked at again.
    default:
      return 'processing';
  }
}
