/**
 * Audited reads: an operator or auditor has read what is kept of a person. Customers read their own, services on behalf of one, and
 * neither is recorded. A read is on record as soon as any of its answer has left, also if its reader then hangs up; a stream as soon
 * as it begins. The person is named by reference, never by the id that clients know.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { findReferences, type IdentityKey, readIdentityKey } from '../../domain/customers.js';
import type { Database } from '../../domain/database.js';
import { whenResponseEnds } from '../http/disconnects.js';
import type { Auditor } from './audit-recorder.js';
import { ANONYMOUS, CHANGES_NOTHING } from './permissions.js';
import { answersPersonalData, namesCustomer } from './personal-routes.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** What its entry in the audit trail names, or its entries; undefined = what its path does. */
    auditedAs: string | readonly string[] | null | undefined;
    /** Puts the read on record, once; of a request that is none to be recorded, it does nothing. */
    noteRead: () => void;
  }
}

export function auditReads(app: FastifyInstance, db: Database, auditor: () => Auditor): void {
  const describeCustomer = customerNamer(db);
  app.decorateRequest('auditedAs');
  app.decorateRequest('noteRead', () => undefined);
  app.addHook('preHandler', async (request, reply) => {
    if (!isAuditedRead(request)) return;
    const customerId = customerNamed(request);
    if (customerId !== undefined) request.auditedAs = await describeCustomer(customerId);
    let isNoted = false;
    request.noteRead = () => {
      if (!isNoted) auditor().note(request, 'read', reply.raw.headersSent ? reply.raw.statusCode : 200);
      isNoted = true;
    };
    whenResponseEnds(reply, () => {
      if (reply.raw.headersSent && !request.isConcealed) request.noteRead();
    });
  });
}

/** By a person who may read what is somebody else's. */
function isAuditedRead({ method, caller, routeOptions, is404 }: FastifyRequest): boolean {
  const url = routeOptions.url ?? '';
  // HEAD is a GET whose length is told: that says how much there is of whom.
  const isRead = method === 'GET' || method === 'HEAD' || CHANGES_NOTHING.has(url);
  if (!isRead || is404 || !caller || caller === ANONYMOUS) return false;
  if (!caller.roles.includes('operator') && !caller.roles.includes('auditor')) return false;
  return answersPersonalData(method, url);
}

/** Whose data is asked for, if the request says it by the client's id. */
function customerNamed({ routeOptions, params, query }: FastifyRequest): string | undefined {
  const named = namesCustomer(routeOptions.url ?? '')
    ? (params as { id?: unknown }).id
    : (query as { customerId?: unknown } | undefined)?.customerId;
  return typeof named === 'string' ? named : undefined;
}

/** @returns what names a customer by reference; null where there is none, or it cannot be read: the read itself is recorded all the same */
function customerNamer(db: Database): (customerId: string) => Promise<string | null> {
  let key: IdentityKey | undefined;
  return async (customerId) => {
    try {
      key ??= await readIdentityKey(db);
      const references = await findReferences(db, key, customerId);
      return references.length === 0 ? null : `customer ${references.join(' ')}`;
    } catch {
      return null;
    }
  };
}
