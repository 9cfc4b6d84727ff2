/**
 * The auditor: records in the audit trail the calls made with an operator's rights, and the refused ones.
 *
 * **Privileged calls** are recorded before they are answered: one that succeeded is not acknowledged unless its entry is
 * durable. **Refused calls** (401, 403, and 404 where the thing is there but the caller may not see it) are gathered in
 * memory and written in batches, those of one caller at one route as one entry with a count, so that a caller
 * who is refused a million times fills neither our memory nor the database. A crash loses the refused calls of the last seconds.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { type AuditEntry, recordAudit } from '../../domain/audit.js';
import type { Database } from '../../domain/database.js';
import { ANONYMOUS, permissionOf } from './permissions.js';
import { Problem } from '../http/problems.js';

export type Auditor = {
  recordPrivileged(request: FastifyRequest, status: number): Promise<void>;
  noteRefused(request: FastifyRequest, status: number): void;
  /** Resolves when what was gathered is written. */
  stop(): Promise<void>;
};

const FLUSH_EVERY_MS = 5_000;
/** Callers × routes distinguished between two batches; beyond that, entries name the route only. */
const GATHERED_MAX = 500;

export function createAuditor({
  db,
  logger,
  namesSource,
}: {
  db: Database;
  logger: Logger;
  /** Whether a request's address is the client's: only if it is known which proxies stand before us. */
  namesSource: boolean;
}): Auditor {
  let gathered = new Map<string, AuditEntry & { times: number }>();
  const entryOf = (request: FastifyRequest, status: number): AuditEntry => ({
    subject: request.caller?.subject ?? null,
    route: routeOf(request),
    resource: resourceOf(request),
    status,
    correlationId: request.id,
    source: namesSource ? request.ip : null,
  });
  const flush = async () => {
    const entries = [...gathered.values()];
    gathered = new Map();
    if (entries.length > 0) await recordAudit(db, entries);
  };
  const flushing = setInterval(() => {
    const lost = gathered.size;
    // Not kept for the next time: while the database is away they would only grow.
    flush().catch((err: unknown) => logger.error({ err, entries: lost }, 'refused calls could not be audited'));
  }, FLUSH_EVERY_MS);

  return {
    recordPrivileged: async (request, status) => {
      const entry = entryOf(request, status);
      try {
        await recordAudit(db, [entry]);
      } catch (err) {
        logger.error({ err, entry }, 'a privileged call could not be audited');
        if (status < 400)
          throw new Problem('unavailable', 'It was done, but could not be put on record: send it again.');
      }
    },
    noteRefused: (request, status) => {
      const entry = { ...entryOf(request, status), times: 1, firstAt: new Date() };
      const keyOf = ({ subject, route, source }: AuditEntry) => JSON.stringify([subject, route, status, source]);
      const known = gathered.get(keyOf(entry));
      if (!known && gathered.size >= GATHERED_MAX)
        Object.assign(entry, { subject: null, source: null, resource: null });
      const same = known ?? gathered.get(keyOf(entry));
      if (!same) return void gathered.set(keyOf(entry), entry);
      same.times++;
      if (same.resource !== entry.resource) same.resource = null;
    },
    stop: async () => {
      clearInterval(flushing);
      await flush().catch((err: unknown) => logger.error({ err }, 'refused calls could not be audited'));
    },
  };
}

/** Audits every route by its responses. */
export function auditAnswers(app: FastifyInstance, auditor: () => Auditor): void {
  app.decorateRequest('isAudited', false);
  app.decorateRequest('isConcealed', false);
  app.addHook('onSend', (request, reply, payload, done) => {
    if (request.isAudited || !isPrivileged(request) || isRefused(request, reply)) return done(null, payload);
    request.isAudited = true; // first: if this fails, the answer that says so passes this hook again
    auditor()
      .recordPrivileged(request, reply.statusCode)
      .then(() => done(null, payload), done);
  });
  app.addHook('onResponse', (request, reply, done) => {
    if (isRefused(request, reply)) auditor().noteRefused(request, reply.statusCode);
    done();
  });
}

const isRefused = (request: FastifyRequest, { statusCode }: FastifyReply): boolean =>
  statusCode === 401 || statusCode === 403 || request.isConcealed;

/** A change that takes an operator, or that a known operator makes where customers could make their own. */
function isPrivileged({ method, caller, routeOptions, is404 }: FastifyRequest): boolean {
  if (method === 'GET' || method === 'HEAD' || is404 || !caller) return false;
  const allowed = permissionOf(method, routeOptions.url ?? '');
  if (allowed === 'open') return false;
  return allowed.every((role) => role === 'operator') || (caller !== ANONYMOUS && caller.roles.includes('operator'));
}

const routeOf = ({ method, routeOptions }: FastifyRequest): string => `${method} ${routeOptions.url ?? ''}`;

/** Ids of ours only: a path may hold anything. */
function resourceOf({ params }: FastifyRequest): string | null {
  const ids = Object.values((params ?? {}) as Record<string, string>);
  return ids.length > 0 && ids.every((id) => /^[A-Za-z0-9][A-Za-z0-9._:|-]{0,127}$/.test(id)) ? ids.join('/') : null;
}
