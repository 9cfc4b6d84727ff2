/**
 * Interventions: what banks and customers do, on request: `POST /sandbox/<what>/<id>/<verb>`, answered by the object as it is
 * then. Not the provider's API; no key needed.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import type { Ledger } from '../ledger/ledger.js';
import type { Charge } from '../ledger/records.js';
import { invalid, noSuch } from '../protocol/errors.js';
import { renderIntent, renderRefund } from '../protocol/render.js';
import { renderDispute } from '../protocol/render-dispute.js';
import { finished } from '../provider/attempt.js';
import { decided, openDispute } from '../provider/dispute-states.js';
import { FAILURE_REASONS, moved } from '../provider/refund-states.js';

const REFUND_VERBS = {
  settle: 'succeeded',
  fail: 'failed',
  cancel: 'canceled',
  require_action: 'requires_action',
} as const;

const Reason = Type.Object({ reason: Type.Optional(Type.Enum([...FAILURE_REASONS])) }, { additionalProperties: false });
const Terms = Type.Object(
  {
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    amount: Type.Optional(Type.Integer({ minimum: 1 })),
    status: Type.Optional(Type.Enum(['needs_response', 'warning_needs_response'])),
  },
  { additionalProperties: false },
);
const Nothing = Type.Object({}, { additionalProperties: false });

/** For `GET /`, which says what the sandbox can do. */
export const INTERVENTIONS_HELP = {
  'POST /sandbox/refunds/:id/settle': 'it succeeds, for good',
  'POST /sandbox/refunds/:id/fail': `it fails, also after it succeeded; {"reason": one of ${FAILURE_REASONS.join(', ')}}`,
  'POST /sandbox/refunds/:id/cancel': 'it is canceled, if it is pending or requires_action',
  'POST /sandbox/refunds/:id/require_action': 'a pending one waits for its customer',
  'POST /sandbox/payment_intents/:id/dispute': 'or charges/:id: {"reason","amount","status"}, all optional',
  'POST /sandbox/payment_intents/:id/settle':
    'one that is processing is paid, or one whose customer was to authenticate',
  'POST /sandbox/payment_intents/:id/decline': 'or it is not',
  'POST /sandbox/disputes/:id/win': 'the merchant has the money again',
  'POST /sandbox/disputes/:id/lose': 'the cardholder keeps it',
};

type Id = { id: string };

export function interventionRoutes(app: FastifyInstance, ledger: Ledger): void {
  refundVerbs(app, ledger);
  disputeVerbs(app, ledger);
  paymentVerbs(app, ledger);
}

function refundVerbs(app: FastifyInstance, ledger: Ledger): void {
  for (const verb of Object.keys(REFUND_VERBS) as (keyof typeof REFUND_VERBS)[]) {
    app.post<{ Params: Id; Body: Static<typeof Reason> }>(
      `/sandbox/refunds/:id/${verb}`,
      optional(Reason),
      async ({ params, body }) => {
        const refund = ledger.facts.refunds.get(params.id);
        if (!refund) throw noSuch('refund', params.id, 'id');
        const entry = await ledger.record(moved(ledger, refund, REFUND_VERBS[verb], body.reason));
        return renderRefund(entry.refund ?? refund);
      },
    );
  }
}

function disputeVerbs(app: FastifyInstance, ledger: Ledger): void {
  for (const noun of ['payment_intents', 'charges']) {
    app.post<{ Params: Id; Body: Static<typeof Terms> }>(
      `/sandbox/${noun}/:id/dispute`,
      optional(Terms),
      async ({ params, body }) => {
        const terms = { reason: 'fraudulent', status: 'needs_response' as const, ...body };
        return renderDispute(await openDispute(ledger, disputable(ledger, params.id), terms));
      },
    );
  }
  for (const verb of ['win', 'lose']) {
    app.post<{ Params: Id }>(`/sandbox/disputes/:id/${verb}`, optional(Nothing), async ({ params }) => {
      const dispute = ledger.facts.disputes.get(params.id);
      if (!dispute) throw noSuch('dispute', params.id, 'id');
      const change = decided(dispute, verb === 'win');
      await ledger.record(change);
      return renderDispute(change.dispute);
    });
  }
}

function paymentVerbs(app: FastifyInstance, ledger: Ledger): void {
  for (const verb of ['settle', 'decline']) {
    app.post<{ Params: Id }>(`/sandbox/payment_intents/:id/${verb}`, optional(Nothing), async ({ params }) => {
      const intent = ledger.facts.intents.get(params.id);
      if (!intent) throw noSuch('payment_intent', params.id, 'id');
      if (intent.status !== 'processing' && intent.status !== 'requires_action')
        throw invalid(`This PaymentIntent has a status of ${intent.status}; its payment cannot be decided.`);
      const pending = intent.status === 'processing' ? ledger.facts.charges.get(intent.latestCharge ?? '') : undefined;
      const isPaid = verb === 'settle';
      const entry = await ledger.record(finished(intent, pending, { at: ledger.now(), isPaid }));
      return renderIntent(entry.intent ?? intent);
    });
  }
}

/** A body may be left out: `curl -X POST` sends none. */
const optional = (body: TSchema) => ({
  schema: { body },
  preValidation: async (request: FastifyRequest) => {
    request.body ??= {};
  },
});

/** The charge itself, or the one that paid the intent. */
function disputable(ledger: Ledger, id: string): Charge {
  const charge = ledger.facts.charges.get(id) ?? ledger.chargesOf(id).find(({ status }) => status === 'succeeded');
  if (charge) return charge;
  if (ledger.facts.intents.get(id)) throw invalid(`PaymentIntent ${id} does not have a successful charge to dispute.`);
  throw noSuch('charge', id, 'id');
}
