/**
 * The payment gateway's webhooks: signed events that something has happened at the gateway. An event is never believed:
 * it has the reconciler ask the gateway itself, now instead of at its next pass. Lost, repeated, late or out of order, an
 * event changes nothing but the time at which a difference is found. It is answered when it has been looked up (claim-lookups).
 */
import { Type } from 'typebox';
import type { Database } from '../../domain/database.js';
import { mayBeNews } from '../../domain/reconciliation-findings.js';
import type { Api } from '../dependencies.js';
import { problemResponses } from '../openapi/problems.js';
import { createClaimLookups } from './claim-lookups.js';
import { readClaim } from './payment-claims.js';
import { readEvent, verifySignature } from './payment-events.js';
import { Problem } from '../http/problems.js';

export type WebhookDependencies = {
  db: Database;
  /** whsec_…, during a rotation several, separated by blanks; a function where a file has them. Undefined = events are not taken. */
  paymentsWebhookSecret?: string | (() => string);
};

/** A PaymentIntent with all its metadata is some 5 KB. */
const BODY_MAX_BYTES = 64 * 1024;
/** Events remembered by this process, so that repetitions cost one look-up. */
const REMEMBERED_MAX = 10_000;

export function webhookRoutes(app: Api, { db, paymentsWebhookSecret: secret }: WebhookDependencies): void {
  const remembered = new Set<string>();
  const lookUp = createClaimLookups(db);
  app.register(async (scope) => {
    // The signature is over the bytes as they came, whatever their Content-Type.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      '*',
      { parseAs: 'buffer', bodyLimit: BODY_MAX_BYTES },
      async (_: unknown, body: Buffer) => body,
    );
    scope.post(
      '/webhooks/payments',
      {
        schema: {
          summary: 'Events of the payment gateway, signed by it',
          tags: ['webhooks'],
          headers: Type.Object({
            'stripe-signature': Type.Optional(
              Type.String({ description: 'Of the body as sent, by the endpoint’s secret' }),
            ),
          }),
          response: {
            200: Type.Object({ received: Type.Boolean() }),
            '4xx': problemResponses(
              'invalid-signature',
              'invalid-request',
              'malformed-json',
              'not-found',
              'payload-too-large',
            ),
          },
        },
      },
      async (request) => {
        if (secret === undefined) throw new Problem('not-found', 'Webhooks of the payment gateway are not configured.');
        const { body } = request as { body: unknown };
        const secrets = (typeof secret === 'string' ? secret : secret()).split(' ');
        verifySignature(body, request.headers['stripe-signature'], secrets);
        const event = readEvent(body);
        if (event === undefined || remembered.has(event.id)) return { received: true };
        const claim = readClaim(event);
        if (claim && mayBeNews(claim)) await lookUp(event.id, claim);
        remember(remembered, event.id);
        return { received: true };
      },
    );
  });
}

function remember(remembered: Set<string>, id: string): void {
  const [oldest] = remembered;
  if (oldest !== undefined && remembered.size >= REMEMBERED_MAX) remembered.delete(oldest);
  remembered.add(id);
}
