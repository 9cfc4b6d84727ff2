/**
 * Server: the sandbox as one Fastify app. It speaks the part of Stripe's API that our payment adapter uses, from outside
 * knowledge only: it shares no code with the adapter, so that a misreading on one side does not hide one on the other.
 */
import { join } from 'node:path';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchemaValidationError,
} from 'fastify';
import type { Logger } from 'pino';
import { FRONT_OPTIONS, putFrontBefore } from '../runtime/listeners/front.js';
import { answerUnparsable } from '../runtime/listeners/refusals.js';
import { ledgerRoutes } from './controls/ledger-sums.js';
import { interventionRoutes } from './controls/interventions.js';
import { countTraffic } from './controls/traffic.js';
import { welcome } from './controls/welcome.js';
import { distort, faultOf, NO_FAULT, setFault } from './faults/distortion.js';
import { Faults } from './faults/faults.js';
import type { Route } from './faults/modes.js';
import { faultRoutes } from './faults/routes.js';
import { type Ledger, openLedger } from './ledger/ledger.js';
import { newId } from './ledger/records.js';
import { INTERNAL, invalid, ProviderError, unauthorized } from './protocol/errors.js';
import { parseForm } from './protocol/form.js';
import { cut, enter, leave, Posts } from './protocol/posts.js';
import { renderError } from './protocol/render.js';
import { chargeRoutes } from './provider/charges.js';
import { CUSTOMERS, customerRoutes } from './provider/customers.js';
import { disputeRoutes } from './provider/disputes.js';
import { paymentIntentRoutes } from './provider/payment-intents.js';
import type { RefundTiming } from './provider/refund-states.js';
import { refundRoutes } from './provider/refunds.js';
import { updateRoutes } from './provider/updates.js';
import { clockRoutes, createClock } from './time/clock.js';
import { Retention, retentionRoutes } from './time/retention.js';
import { settleProcessing } from './time/settlement.js';
import { Upcoming } from './time/upcoming.js';
import { Webhooks, type WebhookTarget } from './webhooks/webhooks.js';

const BODY_MAX_BYTES = 64 * 1024;

export interface SandboxOptions {
  /** The ledger lives in `<dataDir>/sandbox/`. */
  dataDir: string;
  logger: Logger;
  /** Names that it answers to besides this machine's own. */
  allowedHosts?: string[];
  /** Absent: no events are recorded or sent. */
  webhook?: WebhookTarget;
  /** How long search does not find a new intent. */
  searchLagMs?: number;
  hangMs?: number;
  slowMs?: number;
  processingMs?: number;
  /** How long the refunds of pm_card_pendingRefund are pending; a restart does not change what has been made. */
  refundSettlesAfterMs?: number;
  /** How long the refunds of pm_card_refundFail look as if they had succeeded. */
  refundFailsAfterMs?: number;
  /** How long after its payment pm_card_createDispute disputes it. */
  disputeAfterMs?: number;
  /** How long what is personal of a record stays after its last change; for ever if it is 0 or not given. */
  retentionMs?: number;
  now?: () => number;
  /** The ledger could not be written: the process must end, what is on disk is unknown. */
  onFatal?: (err: unknown) => void;
}

/** @throws LockedError when another sandbox owns the ledger */
export async function createSandbox(options: SandboxOptions): Promise<FastifyInstance> {
  const { logger, webhook, onFatal } = options;
  const clock = createClock(options.now ?? Date.now);
  const ledger = await openLedger({
    directory: join(options.dataDir, 'sandbox'),
    now: clock.now,
    recordEvents: webhook !== undefined,
    onFatal: onFatal ?? ((err) => logger.fatal({ err }, 'the ledger cannot be written')),
  });
  const faults = new Faults({ hangMs: options.hangMs ?? 60_000, slowMs: options.slowMs ?? 3_000 });
  const stopSettling = settleProcessing(ledger, { afterMs: options.processingMs ?? 2_000, logger });
  const upcoming = new Upcoming(ledger, logger);
  const retention = new Retention(ledger, { retentionMs: options.retentionMs ?? 0, logger });
  const webhooks = webhook ? new Webhooks(webhook, { ledger, faults, logger }) : undefined;

  const app = newApp(logger, () => ledger.now());
  putFrontBefore(app.server, { listener: 'sandbox', trusted: { allowedHosts: options.allowedHosts } });
  app.addHook('preClose', async () => {
    stopSettling();
    for (const part of [faults, upcoming, retention]) part.stop();
    webhooks?.close();
  });
  app.addHook('onClose', () => ledger.close());

  app.get('/', welcome).get('/livez', () => ({ status: 'ok' }));
  app.addHook('onRequest', () => upcoming.catchUp());
  countTraffic(app);
  ledgerRoutes(app, ledger);
  clockRoutes(app, { clock, now: () => ledger.now() });
  retentionRoutes(app, retention);
  interventionRoutes(app, ledger);
  faultRoutes(app, faults);
  await app.register(async (api) => providerRoutes(api, { ledger, faults, timing: timingOf(options) }));
  return app;
}

/** @param now the sandbox's clock: what it dates its answers by is what it dates its records by */
function newApp(logger: Logger, now: () => number): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_MAX_BYTES,
    forceCloseConnections: true, // a hanging request must not delay a shutdown
    genReqId: () => newId('req'),
    http: FRONT_OPTIONS,
    clientErrorHandler: answerUnparsable,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    schemaErrorFormatter: explain,
  });
  app.decorateRequest(...NO_FAULT);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('request-id', request.id);
    const version = request.headers['stripe-version'];
    if (version !== undefined) reply.header('stripe-version', version);
  });
  app.addHook('onSend', async (_request, reply) => {
    reply.header('date', new Date(now()).toUTCString());
  });
  app.setErrorHandler((err: FastifyError | ProviderError, request, reply) => answerError(err, request, reply, logger));
  app.setNotFoundHandler((request, reply) => {
    const message = `Unrecognized request URL (${request.method}: ${request.url.split('?', 1)[0]}).`;
    return reply.code(404).send(renderError({ type: 'invalid_request_error', message }));
  });
  return app;
}

/** A value that is none of a few is refused with the list of them. */
function explain(errors: FastifySchemaValidationError[], where: string): Error {
  const sentences = errors.map(({ instancePath, message, params }) => {
    const allowed = params['allowedValues'] as string[] | undefined;
    return `${where}${instancePath} ${allowed ? `must be one of ${allowed.join(', ')}` : message}`;
  });
  return new Error(sentences.join('; '));
}

interface Timing extends RefundTiming {
  searchLagMs: number;
  disputeAfterMs: number;
}

const timingOf = (options: SandboxOptions): Timing => ({
  searchLagMs: options.searchLagMs ?? 1_000,
  refundSettlesAfterMs: options.refundSettlesAfterMs ?? 10_000,
  refundFailsAfterMs: options.refundFailsAfterMs ?? 10_000,
  disputeAfterMs: options.disputeAfterMs ?? 2_000,
});

interface Parts {
  ledger: Ledger;
  faults: Faults;
}

function providerRoutes(api: FastifyInstance, { ledger, faults, timing }: Parts & { timing: Timing }): void {
  api.addHook('onRequest', async (request) => requireKey(request.headers.authorization));
  api.removeAllContentTypeParsers();
  const parser = { parseAs: 'string' } as const;
  api.addContentTypeParser('application/x-www-form-urlencoded', parser, async (_: unknown, body: string) =>
    parseForm(body),
  );
  api.addContentTypeParser('*', parser, async (_: unknown, body: string) => {
    if (body === '') return parseForm('');
    throw invalid('Invalid request (check that your POST content type is application/x-www-form-urlencoded).');
  });
  api.addHook('preHandler', async (request, reply) => {
    if (request.method !== 'GET') request.body ??= parseForm('');
    else await meetOnLookup({ ledger, faults }, request, reply);
  });

  api.addHook('preSerialization', async (request, reply, payload) => {
    const fault = faultOf(request);
    return fault && reply.statusCode === 200 ? distort(fault, payload) : payload;
  });

  // After the true date has been set, on answers with and without another fault.
  api.addHook('onSend', async (_request, reply) => {
    const date = faults.takeDate(ledger.now());
    if (date !== undefined) reply.header('date', date);
  });

  const posts = new Posts(ledger, faults);
  paymentIntentRoutes(api, { ledger, posts, ...timing });
  refundRoutes(api, { ledger, posts, timing });
  updateRoutes(api, { ledger, posts });
  chargeRoutes(api, ledger);
  disputeRoutes(api, ledger);
  customerRoutes(api, { ledger, posts });
}

/** A look-up has no effect, so before and after it are the same. */
async function meetOnLookup({ ledger, faults }: Parts, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const fault = faults.take({ routes: lookupRoutes(request), orderId: orderLookedUp(ledger, request) });
  if (!fault) return;
  setFault(request, fault);
  if (!(await enter(faults, fault)) || !(await leave(faults, fault))) {
    cut(reply);
    return;
  }
  if (fault.mode === 'error' || fault.mode === 'error_after') throw new ProviderError(500, INTERNAL);
}

function lookupRoutes(request: FastifyRequest): Route[] {
  const [path = '', query = ''] = request.url.split('?');
  const kinds = kindsOfLookup(request, path, query);
  return path.startsWith(CUSTOMERS) ? [...kinds, 'customer'] : kinds;
}

function kindsOfLookup(request: FastifyRequest, path: string, query: string): Route[] {
  if (path.endsWith('/search')) return ['lookup', 'search'];
  if ('id' in (request.params as object)) return ['lookup', 'retrieve'];
  const isFurther = ['starting_after', 'ending_before'].some((name) => new URLSearchParams(query).has(name));
  return isFurther ? ['lookup', 'list', 'page'] : ['lookup', 'list'];
}

/** The order that a retrieve or a search is about; a list is about none. */
function orderLookedUp(ledger: Ledger, request: FastifyRequest): string | undefined {
  const { id = '' } = request.params as { id?: string };
  const query = new URLSearchParams(request.url.split('?')[1]).get('query') ?? '';
  const { refunds, charges, disputes, intents } = ledger.facts;
  const about = refunds.get(id) ?? charges.get(id) ?? disputes.get(id);
  const intent = intents.get(about?.intent ?? id);
  return intent?.metadata['orderId'] ?? /metadata\[['"]orderId['"]\]\s*:\s*['"]([^'"]*)['"]/.exec(query)?.[1];
}

/** Any test key opens the one ledger; a live key is refused, and no key is ever repeated in an answer or a log. */
function requireKey(authorization: string | undefined): void {
  const [scheme = '', credentials = ''] = (authorization ?? '').split(' ');
  const key =
    scheme.toLowerCase() === 'basic' ? Buffer.from(credentials, 'base64').toString().split(':', 1)[0] : credentials;
  if (!key) throw unauthorized('You did not provide an API key. Use Authorization: Bearer sk_test_….');
  if (!/^sk_test_\w+$/.test(key)) throw unauthorized('Invalid API Key provided: the sandbox takes sk_test_… only.');
}

function answerError(err: FastifyError | ProviderError, request: FastifyRequest, reply: FastifyReply, logger: Logger) {
  if (err instanceof ProviderError) return reply.code(err.status).headers(err.headers).send(renderError(err.body));
  const status = err.statusCode ?? 500;
  if (status < 500)
    return reply.code(status).send(renderError({ type: 'invalid_request_error', message: err.message }));
  logger.error({ err, requestId: request.id }, 'request failed');
  return reply.code(500).send(renderError(INTERNAL));
}
