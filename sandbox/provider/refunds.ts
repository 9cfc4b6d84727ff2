/** Refunds: `/v1/refunds`. A refund gives back money of one charge, never more than is left of it. */
import type { FastifyInstance } from 'fastify';
import type { Ledger } from '../ledger/ledger.js';
import { type Charge, newId, type Refund } from '../ledger/records.js';
import { runOf } from '../ledger/record-list.js';
import { type ErrorBody, invalid, noSuch } from '../protocol/errors.js';
import type { Form } from '../protocol/form.js';
import { expands, listOf, PAGE_PARAMS, readQuery } from '../protocol/lists.js';
import { amount, metadata, oneOf, refuseUnknown, text } from '../protocol/params.js';
import type { Effect, Plan, Posts } from '../protocol/posts.js';
import { renderRefund } from '../protocol/render.js';
import { isRefundable } from '../protocol/render-dispute.js';
import { requireWholeUnits } from './currencies.js';
import { findIntent } from './payment-intents.js';
import { fateOf, givesBack, moved, type RefundFate, type RefundTiming } from './refund-states.js';

const URL = '/v1/refunds';
const CREATE_PARAMS = ['payment_intent', 'charge', 'amount', 'reason', 'metadata', 'expand'];
const REASONS = ['duplicate', 'fraudulent', 'requested_by_customer'] as const;

export interface RefundOptions {
  ledger: Ledger;
  posts: Posts;
  timing: RefundTiming;
}

export function refundRoutes(app: FastifyInstance, options: RefundOptions): void {
  const { ledger, posts } = options;
  app.post<{ Body: Form }>(URL, (request, reply) => posts.answer(request, reply, (form) => planRefund(options, form)));
  app.post<{ Params: { id: string }; Body: Form }>(`${URL}/:id/cancel`, (request, reply) =>
    posts.answer(request, reply, (form) => planCancel(ledger, request.params.id, form)),
  );

  app.get(URL, async (request) => {
    const query = readQuery(request, [...PAGE_PARAMS, 'payment_intent', 'charge']);
    expands(query, '');
    await ledger.durable();
    return listOf(selected(ledger, query), query, { url: URL, noun: 'refund', render: renderRefund });
  });
  app.get<{ Params: { id: string } }>(`${URL}/:id`, async (request) => {
    expands(readQuery(request, ['expand']), '');
    await ledger.durable();
    return renderRefund(findRefund(ledger, request.params.id));
  });
}

function selected(ledger: Ledger, query: Form) {
  const intent = text(query, 'payment_intent');
  const charge = text(query, 'charge');
  if (charge !== undefined) {
    const of = ledger.facts.charges.get(charge)?.intent ?? '';
    return runOf(ledger.refundsOf(of).filter((refund) => refund.charge === charge));
  }
  return intent === undefined ? ledger.facts.refunds : runOf(ledger.refundsOf(intent));
}

function planRefund({ ledger, timing }: RefundOptions, form: Form): Plan {
  refuseUnknown(form, CREATE_PARAMS);
  expands(form, '');
  const intent = intentOf(ledger, form);
  const wanted = amount(form);
  if (wanted !== undefined) requireWholeUnits(wanted, intent.currency);
  const reason = oneOf(form, 'reason', REASONS);
  const details = { metadata: metadata(form), ...(reason === undefined ? {} : { reason }) };
  return {
    route: 'refund',
    orderId: details.metadata['orderId'] ?? intent.metadata['orderId'],
    execute: (key, fault) => {
      // Looked up here and not above: another refund may have been made while a slow one was waiting.
      const charge = ledger.chargesOf(intent.id).find(({ status }) => status === 'succeeded');
      if (!charge) return refused(`This PaymentIntent (${intent.id}) does not have a successful charge to refund.`);
      if (!ledger.disputesOf(charge.id).every(isRefundable))
        return refused(`Charge ${charge.id} has been charged back; cannot issue a refund.`, {
          code: 'charge_disputed',
        });
      const left = charge.amount - charge.amountRefunded;
      if (left === 0)
        return refused(`Charge ${charge.id} has already been refunded.`, { code: 'charge_already_refunded' });
      const taken = wanted ?? left;
      if (taken > left) return refused(tooMuch(taken, left), { param: 'amount' });
      const at = ledger.now();
      const fate = fateOf(charge, { at, timing, fault });
      return paidBack(charge, { at, amount: taken, ...details, ...fate, ...(key === undefined ? {} : { key }) });
    },
  };
}

/** Only what waits for its customer can be called back, as at the provider. */
function planCancel(ledger: Ledger, id: string, form: Form): Plan {
  refuseUnknown(form, ['expand']);
  expands(form, '');
  const known = findRefund(ledger, id);
  return {
    route: 'other',
    orderId: ledger.facts.intents.get(known.intent)?.metadata['orderId'],
    execute: () => {
      const refund = findRefund(ledger, id);
      const status = refund.status ?? 'succeeded';
      return status === 'requires_action'
        ? { status: 200, ...moved(ledger, refund, 'canceled') }
        : refused(`You cannot cancel this Refund because it has a status of ${status}.`);
    },
  };
}

function findRefund(ledger: Ledger, id: string): Refund {
  const refund = ledger.facts.refunds.get(id);
  if (!refund) throw noSuch('refund', id, 'id');
  return refund;
}

type Details = Pick<Refund, 'at' | 'amount' | 'metadata' | 'reason' | 'key'> & RefundFate;

function paidBack(charge: Charge, details: Details): Effect {
  const refund = { id: newId('re'), intent: charge.intent, charge: charge.id, currency: charge.currency, ...details };
  if (!givesBack(refund)) return { status: 200, refund, events: ['refund.created', 'refund.failed'] };
  return {
    status: 200,
    refund,
    charge: { ...charge, amountRefunded: charge.amountRefunded + details.amount },
    events: ['charge.refunded', 'refund.created'],
  };
}

function intentOf(ledger: Ledger, form: Form) {
  const intent = text(form, 'payment_intent');
  const id = text(form, 'charge');
  if (intent === undefined && id === undefined) {
    throw invalid('One of the following params should be provided for this request: payment_intent or charge.');
  }
  const charge = id === undefined ? undefined : ledger.facts.charges.get(id);
  if (id !== undefined && !charge) throw noSuch('charge', id.slice(0, 100), 'charge');
  if (charge && intent !== undefined && intent !== charge.intent) {
    throw invalid('The charge does not belong to the PaymentIntent.', { param: 'charge' });
  }
  return findIntent(ledger, charge?.intent ?? intent ?? '', 'payment_intent');
}

const tooMuch = (taken: number, left: number) =>
  `Refund amount (${taken}) is greater than unrefunded amount on charge (${left})`;

/** Stored under the key like any other result of an execution. */
function refused(message: string, detail: Pick<ErrorBody, 'code' | 'param'> = {}): Effect {
  return { status: 400, error: { type: 'invalid_request_error', message, ...detail } };
}
