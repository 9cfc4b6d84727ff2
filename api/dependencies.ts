/** The dependencies of the routes. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  preHandlerAsyncHookHandler,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { PayloadCodec } from '@temporalio/common';
import type { CustomersTold } from '../contracts/events.js';
import type { SagaPolicy } from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import type { CertificateKeys } from '../domain/erasure/certificate.js';
import type { ExplanationSources } from '../explanation/explain.js';
import type { ReadinessCheck } from '../runtime/health.js';
import type { TemporalLink } from '../runtime/temporal.js';
import type { Auditor } from './access/audit-recorder.js';
import type { Authenticate } from './access/authentication.js';
import type { Caller } from './access/permissions.js';
import type { OverviewReader } from './overview/overview.js';
import type { SagaDispatcher } from './dispatcher.js';
import type { CallerLimits } from './load/parties.js';
import type { Waiting } from './waiting/waiting.js';

export type ApiDependencies = {
  authenticate: Authenticate;
  auditor: Auditor;
  db: Database;
  temporal: TemporalLink;
  dispatcher: SagaDispatcher;
  waiting: Waiting;
  overview: OverviewReader;
  policy: SagaPolicy;
  /** Where people look at workflows; undefined = no link is shown. */
  temporalUiUrl?: string;
  idempotencyTtlMs: number;
  /** What the charge of an order carries of its correlation id; undefined = nothing. */
  chargeCorrelationOf?: (correlationId: string) => string;
  /** What events say of their customer; undefined = the client's id. */
  customersTold?: CustomersTold;
  /** Of a list's page; undefined = the default of http/pages. */
  pageBytesMax?: number;
  readiness: ReadinessCheck;
  /** Of a key whose request is in work; undefined = as long as a crash may hold up its repetition. */
  keyLock?: { lockMs: number; extendEveryMs: number };
  /** whsec_… of the payment gateway; undefined = its webhooks are not taken. */
  paymentsWebhookSecret?: string | (() => string);
  /** Of payloads; undefined = they are not encrypted. */
  codec?: CodecServer;
  /** For explaining orders; undefined = this process does not reach the gateway, and its prober is not known. */
  explaining?: Explaining;
  /** undefined = nobody is authenticated, and there is nothing to link to. */
  console?: ConsoleConfig;
  /** What signs certificates of erasures, and by when they must be done. */
  erasing: Erasing;
  /** Of `npm start`, whose buttons the console then has; undefined = there are none. */
  launcherUrl?: string;
  /** undefined = POST /orders is not limited. */
  limitOrders?: preHandlerAsyncHookHandler;
  /** undefined = no caller is distinguished, and none limited. */
  callerLimits?: CallerLimits;
  /** On event streams; undefined = as often as proxies need it. */
  heartbeatEveryMs?: number;
  /** How long a stream's reader may take for what is written at once; undefined = long. */
  slowReaderLimitMs?: number;
  /** Aborts when the process begins to stop, so that no request outlives it by waiting. */
  stopping: AbortSignal;
};

/** What the console is told before anybody has signed in: nothing of it is secret. */
export type ConsoleConfig = {
  authentication: 'none' | 'oidc';
  /** At the issuer, by authorization code with PKCE. */
  signIn?: { issuer: string; issuerUrl: string; clientId: string; scope: string; parameters: Record<string, string> };
  /** Origins that the page talks to besides its own. */
  connectsTo?: string[];
  temporalUrl?: string;
  tracesUrl?: string;
  /** Faults may be caused by buttons: on a laptop only. */
  demo: boolean;
};

export type CodecServer = PayloadCodec;

/** What an explanation takes that this role has of no other use. */
export type Explaining = Pick<ExplanationSources, 'gateway' | 'probeEveryMs' | 'periods'>;

export type Erasing = { keys: CertificateKeys; deadlineMs: number };

export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller;
    /** Gives back the request's place among those in work (load shedding): it only waits, or has been answered. */
    releaseSlot: () => void;
    /** Its entry in the audit trail is written, or was tried. */
    isAudited: boolean;
    /** 404 because the caller may not see what it asks for. */
    isConcealed: boolean;
  }
}
