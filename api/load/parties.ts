/**
 * Parties: whom a request is charged to, and what each may have. A customer; any other caller (a shop's back end, an auditor, an
 * operator who reads); and, at routes that need no token, the address that asks. Operators' acts are charged to nobody: what ends an
 * overload must not be refused in one.
 */
import type { FastifyRequest } from 'fastify';
import { addressKey } from '../../runtime/listeners/client-address.js';
import { confinedTo } from '../access/permissions.js';
import { Problem } from '../http/problems.js';
import { type TakeTokens, createBuckets } from './buckets.js';
import { COST_MAX, costOfRequest } from './costs.js';

export type CallerLimits = {
  /** Cheap requests a second; of a customer, of any other caller, and at an open route from one address. */
  customerPerSecond: number;
  servicePerSecond: number;
  strangerPerSecond: number;
  /** Requests that are worked on at a time; of a customer or a stranger, and of any other caller. */
  customerAtATime: number;
  serviceAtATime: number;
  /** How long a request waits for its turn. */
  turnWaitMaxMs: number;
  /** Refusals that a caller, or an address without one, is sent at once; the others a second later. */
  refusalsPerSecond: number;
};

type Allowance = { perSecond: number; atATime: number; take: TakeTokens };
/** `isService`: what it asks in a customer's name is charged to that customer as well. */
export type Party = { key: string; allowance: Allowance; isService: boolean };

export type Parties = {
  /** @returns undefined = the request is charged to nobody */
  of(request: FastifyRequest): Party | undefined;
  customer(id: string): Party;
};

/** A full bucket: a customer's page asks for some ten things at once. And the dearest request must fit. */
const BURST_S = 2;

export function createParties(limits: CallerLimits): Parties {
  const allowance = (perSecond: number, atATime: number): Allowance => {
    const size = Math.max(perSecond * BURST_S, COST_MAX);
    return { perSecond, atATime, take: createBuckets(perSecond * 60, undefined, size) };
  };
  const customers = allowance(limits.customerPerSecond, limits.customerAtATime);
  const services = allowance(limits.servicePerSecond, limits.serviceAtATime);
  const strangers = allowance(limits.strangerPerSecond, limits.customerAtATime);
  const customer = (id: string) => ({ key: `customer ${id}`, allowance: customers, isService: false });
  return {
    of: (request) => {
      const { caller, method, routeOptions, ip } = request;
      if (costOfRequest(request) === 0) return undefined; // health
      if (!caller) return { key: `${addressKey(ip)} at ${routeOptions.url}`, allowance: strangers, isService: false };
      if (confinedTo(caller, 'read') !== undefined) return customer(caller.subject);
      if (caller.roles.includes('operator') && isAct(method, routeOptions.url ?? '')) return undefined;
      return { key: `service ${caller.subject}`, allowance: services, isService: caller.roles.includes('service') };
    },
    customer,
  };
}

const isAct = (method: string, url: string): boolean =>
  url.startsWith('/admin/') || (method !== 'GET' && method !== 'HEAD');

/** Takes what the request costs out of the party's bucket. @returns why it is refused */
export function refusalOf({ key, allowance: { perSecond, take } }: Party, cost: number): Problem | undefined {
  const { isTaken, tokens } = take(key, cost);
  if (isTaken) return undefined;
  return tooMany(
    `At most ${perSecond} cheap requests a second, and fewer of dearer ones; this one counts as ${cost}.`,
    key,
    'rate',
    Math.ceil((cost - tokens) / perSecond),
  );
}

/** Takes what has turned out to be owed; its next requests wait until the bucket holds it again. */
export const owe = ({ key, allowance: { take } }: Party, cost: number): void => void take(key, cost, true);

/** @param who is slowed down if it does not heed the refusal @param reason of the metric */
export const tooMany = (detail: string, who: string, reason: 'rate' | 'share' | 'turn', retryAfterS = 1) =>
  new Problem('too-many-requests', detail, {}, { retryAfterS, reason, pacedBy: who });
