/**
 * The auditor: records what is done with an operator's rights, and which calls are refused.
 *
 * **Acts** are recorded in the transaction of their change, with what stood before and after, or, where Temporal carries them out,
 * before they are sent, and what has come of them before they are answered. Without its entry an act is not done. A privileged
 * call that changed nothing is recorded, as a call, before it is answered. **Refused calls** (401, 403, and 404 where the thing is
 * there but the caller may not see it) and **reads** by operators and auditors are gathered (call-gatherer).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import {
  type Actor,
  act,
  type Change,
  type Effect,
  NotRecorded,
  type Recorded,
  recordAct,
} from '../../domain/audit/acts.js';
import { type AuditedCall, recordCalls } from '../../domain/audit/calls.js';
import type { AuditKeys } from '../../domain/audit/signatures.js';
import type { Database } from '../../domain/database.js';
import { Problem } from '../http/problems.js';
import { createCallGatherer } from './call-gatherer.js';
import { ANONYMOUS, CHANGES_NOTHING, confinedTo, permissionOf } from './permissions.js';
import { namesCustomer } from './personal-routes.js';

export type Auditor = {
  /**
   * Does a change, and records it if the caller makes it with an operator's rights.
   * @throws Problem unavailable if it could not be recorded, and was not done
   */
  act<T, B>(request: FastifyRequest, change: Change<T, B>): Promise<T>;
  /** Records an act that is about to be sent to Temporal. @throws Problem unavailable: it must not be sent */
  announce(request: FastifyRequest, effect: Effect): Promise<void>;
  /** Records what has come of it. */
  conclude(request: FastifyRequest, effect: Effect): Promise<void>;
  recordWithoutEffect(request: FastifyRequest, status: number): Promise<void>;
  note(request: FastifyRequest, kind: 'refused' | 'read', status: number): void;
  /** Resolves when what was gathered is written. */
  stop(): Promise<void>;
};

export function createAuditor({
  db,
  keys,
  logger,
  namesSource,
}: {
  db: Database;
  keys: AuditKeys;
  logger: Logger;
  /** Whether a request's address is the client's: only if it is known which proxies stand before us. */
  namesSource: boolean;
}): Auditor {
  const gatherer = createCallGatherer({ db, keys, logger });
  const inTurn = pLimit(ACTS_AT_ONCE);
  const actorOf = (request: FastifyRequest): Actor => ({
    subject: request.caller?.subject ?? null,
    route: routeOf(request),
    correlationId: request.id,
    source: namesSource ? request.ip : null,
  });
  const callOf = (request: FastifyRequest, kind: AuditedCall['kind'], status: number, resource: string | null) => ({
    ...{ ...actorOf(request), kind, status, resource },
  });
  /** The line leaves this machine with the log: an anchor of its own. */
  const announceHead = (request: FastifyRequest, recorded: Recorded | null) => {
    if (recorded) request.isAudited = true;
    if (recorded) request.log.info({ auditId: recorded.id, auditHash: recorded.hash }, 'an act is on record');
  };
  const record = async (request: FastifyRequest, kind: 'act' | 'outcome', effect: Effect, failure: string) => {
    try {
      announceHead(request, await inTurn(recordAct, db, keys, kind, actorOf(request), effect));
    } catch (err) {
      request.log.error({ err }, 'an act could not be audited');
      throw new Problem('unavailable', failure);
    }
  };
  return {
    act: async (request, change) => {
      if (!isPrivileged(request)) return change.change(db);
      try {
        const { result, recorded } = await inTurn(() => act(db, keys, actorOf(request), change));
        announceHead(request, recorded);
        return result;
      } catch (err) {
        if (!(err instanceof NotRecorded)) throw err;
        request.log.error({ err }, 'an act could not be audited, and was not done');
        throw new Problem('unavailable', NOT_DONE);
      }
    },
    announce: (request, effect) => record(request, 'act', effect, NOT_DONE),
    conclude: (request, effect) =>
      record(request, 'outcome', effect, 'It was done, but what has come of it could not be put on record.'),
    recordWithoutEffect: async (request, status) => {
      const call = callOf(request, 'no-effect', status, resourceOf(request));
      try {
        await inTurn(() => recordCalls(db, keys, [call]));
      } catch (err) {
        request.log.error({ err, route: call.route }, 'a privileged call could not be audited');
        if (status < 400) throw new Problem('unavailable', 'It could not be put on record: send it again.');
      }
    },
    note: (request, kind, status) => {
      for (const resource of resourcesOf(request))
        gatherer.note({ ...callOf(request, kind, status, resource), isCustomer: isCustomer(request) });
    },
    stop: () => gatherer.stop(),
  };
}
/**
 * Acts are a chain: side by side they would wait for each other in Postgres, each with a connection that customers need, and its
 * limit of time. Two, so that one that waits for a row does not stop the others.
 */
const ACTS_AT_ONCE = 2;
const NOT_DONE = 'It could not be put on record, and was not done: send it again.';

/** Audits every route by its responses; a route that acts has recorded it by then. */
export function auditAnswers(app: FastifyInstance, auditor: () => Auditor): void {
  app.decorateRequest('isAudited', false);
  app.decorateRequest('isConcealed', false);
  app.addHook('onSend', (request, reply, payload, done) => {
    if (request.isAudited || !isPrivileged(request) || isRefused(request, reply)) return done(null, payload);
    request.isAudited = true; // first: if this fails, the answer that says so passes this hook again
    auditor()
      .recordWithoutEffect(request, reply.statusCode)
      .then(() => done(null, payload), done);
  });
  app.addHook('onResponse', (request, reply, done) => {
    if (isRefused(request, reply)) auditor().note(request, 'refused', reply.statusCode);
    done();
  });
}

const isRefused = (request: FastifyRequest, { statusCode }: FastifyReply): boolean =>
  statusCode === 401 || statusCode === 403 || request.isConcealed;

/** A change that takes an operator, or that a known operator makes where customers could make their own. */
function isPrivileged({ method, caller, routeOptions, is404 }: FastifyRequest): boolean {
  if (method === 'GET' || method === 'HEAD' || is404 || !caller) return false;
  const url = routeOptions.url ?? '';
  if (CHANGES_NOTHING.has(url)) return false;
  const allowed = permissionOf(method, url);
  if (allowed === 'open') return false;
  return allowed.every((role) => role === 'operator') || (caller !== ANONYMOUS && caller.roles.includes('operator'));
}

/** Whoever has no role that reaches beyond a customer's own orders. */
const isCustomer = ({ caller }: FastifyRequest): boolean => !!caller && confinedTo(caller, 'read') !== undefined;

const routeOf = ({ method, routeOptions }: FastifyRequest): string => `${method} ${routeOptions.url ?? ''}`;

/** What was read, by each of which there is an entry; one that names nothing where that is nothing. */
function resourcesOf(request: FastifyRequest): readonly (string | null)[] {
  const named = [request.auditedAs ?? resourceOf(request)].flat();
  return named.length === 0 ? [null] : named;
}

/** Ids of ours only: a path may hold anything. */
function resourceOf({ params, routeOptions }: FastifyRequest): string | null {
  if (namesCustomer(routeOptions.url ?? '')) return null;
  const ids = Object.values((params ?? {}) as Record<string, string>);
  return ids.length > 0 && ids.every((id) => /^[A-Za-z0-9][A-Za-z0-9._:|-]{0,127}$/.test(id)) ? ids.join('/') : null;
}
