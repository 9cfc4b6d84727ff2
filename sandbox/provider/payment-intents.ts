/**
 * PaymentIntents: `/v1/payment_intents`. An intent is what a customer is to pay once; confirming it attempts a charge.
 * Capture is always automatic: an intent that succeeded has been paid.
 */
import type { FastifyInstance } from 'fastify';
import type { Ledger } from '../ledger/ledger.js';
import { type Intent, type IntentStatus, newId } from '../ledger/records.js';
import { type ErrorBody, invalid, noSuch } from '../protocol/errors.js';
import type { Form } from '../protocol/form.js';
import { expands, listOf, PAGE_PARAMS, readQuery } from '../protocol/lists.js';
import { flag, metadata, oneOf, price, refuseUnknown, requiredText, text } from '../protocol/params.js';
import type { Effect, Plan, Posts } from '../protocol/posts.js';
import { renderIntent } from '../protocol/render.js';
import { attempt } from './attempt.js';
import { type Card, findCard } from './cards.js';
import { searchIntents } from './search.js';

const URL = '/v1/payment_intents';

/** Parameters that the provider takes and that change nothing here. */
const IGNORED =
  'allowed_payment_method_types automatic_payment_methods confirmation_method customer excluded_payment_method_types ' +
  'payment_method_options payment_method_types receipt_email return_url setup_future_usage shipping ' +
  'statement_descriptor statement_descriptor_suffix transfer_group use_stripe_sdk';
const CONFIRM_PARAMS = `payment_method off_session error_on_requires_action capture_method expand ${IGNORED}`.split(
  ' ',
);
const CREATE_PARAMS = ['amount', 'currency', 'confirm', 'description', 'metadata', ...CONFIRM_PARAMS];

const CONFIRMABLE: readonly IntentStatus[] = ['requires_payment_method', 'requires_confirmation', 'requires_action'];
const CANCEL_REASONS = ['duplicate', 'fraudulent', 'requested_by_customer', 'abandoned'] as const;

export interface PaymentIntentOptions {
  ledger: Ledger;
  posts: Posts;
  searchLagMs: number;
  disputeAfterMs: number;
}

export function paymentIntentRoutes(app: FastifyInstance, options: PaymentIntentOptions): void {
  const { ledger, posts, searchLagMs } = options;
  app.post<Body>(URL, (request, reply) => posts.answer(request, reply, (form) => planCreate(options, form)));
  app.post<ById>(`${URL}/:id/confirm`, (request, reply) =>
    posts.answer(request, reply, (form) => planConfirm(options, request.params.id, form)),
  );
  app.post<ById>(`${URL}/:id/cancel`, (request, reply) =>
    posts.answer(request, reply, (form) => planCancel(ledger, request.params.id, form)),
  );

  app.get(`${URL}/search`, async (request) => {
    const query = readQuery(request, ['query', 'page', 'limit', 'expand']);
    const render = renderer(ledger, expands(query, 'data.latest_charge'));
    await ledger.durable();
    return searchIntents(ledger, query, { url: `${URL}/search`, lagMs: searchLagMs, render });
  });
  app.get(URL, async (request) => {
    const query = readQuery(request, PAGE_PARAMS);
    const render = renderer(ledger, expands(query, 'data.latest_charge'));
    await ledger.durable();
    return listOf(ledger.facts.intents, query, { url: URL, noun: 'payment_intent', render });
  });
  app.get<ById>(`${URL}/:id`, async (request) => {
    const query = readQuery(request, ['expand', 'client_secret']);
    await ledger.durable();
    return renderer(ledger, expands(query, 'latest_charge'))(findIntent(ledger, request.params.id, 'intent'));
  });
}

type Body = { Body: Form };
type ById = { Params: { id: string }; Body: Form };

export function findIntent(ledger: Ledger, id: string, param: string): Intent {
  const intent = ledger.facts.intents.get(id);
  if (!intent) throw noSuch('payment_intent', id, param);
  return intent;
}

function renderer(ledger: Ledger, expanded: boolean): (intent: Intent) => object {
  return (intent) => renderIntent(intent, expanded ? ledger.facts.charges.get(intent.latestCharge ?? '') : undefined);
}

function planCreate({ ledger, disputeAfterMs }: PaymentIntentOptions, form: Form): Plan {
  refuseUnknown(form, CREATE_PARAMS);
  expands(form, 'latest_charge');
  refuseManualCapture(form);
  const description = text(form, 'description');
  const terms = {
    ...price(form),
    metadata: metadata(form),
    ...(description === undefined ? {} : { description }),
  };
  const method = paymentMethod(form);
  const confirm = flag(form, 'confirm');
  const refuseAuthentication = refusesAuthentication(form);
  if (confirm && !method) throw missingMethod();
  return {
    route: 'charge',
    orderId: terms.metadata['orderId'],
    cardFault: confirm ? method?.card.fault : undefined,
    execute: (key) => {
      const at = ledger.now();
      const intent: Intent = { id: newId('pi'), at, ...terms, status: 'requires_payment_method', amountReceived: 0 };
      if (!method) return { status: 200, intent };
      if (confirm) return attempt(intent, { at, ...method, refuseAuthentication, key, disputeAfterMs });
      return {
        status: 200,
        intent: { ...intent, status: 'requires_confirmation', paymentMethod: method.paymentMethod },
      };
    },
  };
}

function planConfirm({ ledger, disputeAfterMs }: PaymentIntentOptions, id: string, form: Form): Plan {
  refuseUnknown(form, CONFIRM_PARAMS);
  expands(form, 'latest_charge');
  refuseManualCapture(form);
  const known = findIntent(ledger, id, 'intent');
  const method = paymentMethod(form) ?? (known.paymentMethod ? methodOf(known.paymentMethod) : undefined);
  const refuseAuthentication = refusesAuthentication(form);
  if (!method && CONFIRMABLE.includes(known.status)) throw missingMethod();
  return {
    route: 'charge',
    orderId: known.metadata['orderId'],
    cardFault: CONFIRMABLE.includes(known.status) ? method?.card.fault : undefined,
    execute: (key) => {
      const intent = findIntent(ledger, id, 'intent'); // again: a slow request finds what has become of it
      if (!method || !CONFIRMABLE.includes(intent.status)) return wrongState(intent, 'confirm');
      return attempt(intent, { at: ledger.now(), ...method, refuseAuthentication, key, disputeAfterMs });
    },
  };
}

function planCancel(ledger: Ledger, id: string, form: Form): Plan {
  refuseUnknown(form, ['cancellation_reason', 'expand']);
  expands(form, 'latest_charge');
  const reason = oneOf(form, 'cancellation_reason', CANCEL_REASONS) ?? null;
  const known = findIntent(ledger, id, 'intent');
  return {
    route: 'other',
    orderId: known.metadata['orderId'],
    execute: () => {
      const intent = findIntent(ledger, id, 'intent');
      if (!CONFIRMABLE.includes(intent.status)) return wrongState(intent, 'cancel');
      return { status: 200, intent: { ...intent, status: 'canceled', canceled: { at: ledger.now(), reason } } };
    },
  };
}

/** Stored under the key like any other result of an execution: the same key gets it again even if the state has changed. */
function wrongState(intent: Intent, verb: string): Effect {
  const error: ErrorBody = {
    type: 'invalid_request_error',
    code: 'payment_intent_unexpected_state',
    message: `You cannot ${verb} this PaymentIntent because it has a status of ${intent.status}.`,
  };
  return { status: 400, error, intent };
}

interface Method {
  paymentMethod: string;
  card: Card;
}

function paymentMethod(form: Form): Method | undefined {
  const id = text(form, 'payment_method');
  return id === undefined ? undefined : methodOf(id);
}

function methodOf(id: string): Method {
  const card = findCard(id);
  if (!card) throw noSuch('PaymentMethod', id.slice(0, 100), 'payment_method', 400);
  return { paymentMethod: id, card };
}

function missingMethod() {
  const message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
  return invalid(message, { code: 'payment_intent_unexpected_state' });
}

function refusesAuthentication(form: Form): boolean {
  const offSession = form['off_session'] !== undefined && requiredText(form, 'off_session') !== 'false';
  return offSession || flag(form, 'error_on_requires_action');
}

function refuseManualCapture(form: Form): void {
  if ((oneOf(form, 'capture_method', ['automatic', 'automatic_async', 'manual']) ?? 'automatic') === 'manual') {
    throw invalid('The sandbox captures automatically only.', { param: 'capture_method' });
  }
}
