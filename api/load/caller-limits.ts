/**
 * What one caller may have of this process, over all routes: so much in a second (a bucket, out of which each request takes
 * what its route costs), a share of the requests in work, and a few of them at a time. A customer behind a service is a party of
 * its own, for what the service asks in its name: or one customer could use up what all the others of a shop have. Without
 * authentication no caller is known, and none of this applies.
 */
import type { FastifyRequest } from 'fastify';
import type { Api } from '../dependencies.js';
import { whenResponseEnds } from '../http/disconnects.js';
import type { Problem } from '../http/problems.js';
import { costOfBody, costOfBytes, costOfRequest, restOfService } from './costs.js';
import { type CallerLimits, createParties, owe, type Parties, type Party, refusalOf, tooMany } from './parties.js';
import { isNeverShed, overloaded } from './shedding.js';
import { createTurns, type Turn, type Turns } from './turns.js';
import type { Place, Workload } from './workload.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Its place in the workload; undefined before it has one. */
    place: Place | undefined;
    /** Whose buckets it draws from. */
    payers: Party[] | undefined;
    /**
     * If a service asks in this customer's name: takes what the request costs out of the customer's bucket as well.
     * @throws Problem too-many-requests
     */
    drawFor: (customerId: string) => void;
    /** Takes what its page has turned out to cost beyond that, also of a bucket that does not hold as much. */
    payForBytes: (bytes: number) => void;
  }
}

const nothing = () => undefined;

/** Gives each request its place in the workload and its turn, or refuses it. Comes after authentication. */
export function admitCallers(app: Api, workload: Workload, limits: CallerLimits | undefined): void {
  const parties = limits && createParties(limits);
  const turns = limits && createTurns(limits.turnWaitMaxMs);
  app.decorateRequest('releaseSlot');
  app.decorateRequest('place');
  app.decorateRequest('payers');
  app.decorateRequest('drawFor', function (this: FastifyRequest, customerId: string) {
    if (parties) drawFor(parties, this, customerId);
  });
  app.decorateRequest('payForBytes', function (this: FastifyRequest, bytes: number) {
    const cost = costOfBytes(this, bytes);
    if (cost > 0) for (const payer of this.payers ?? []) owe(payer, cost);
  });
  app.addHook('onRequest', (request, reply, done) => {
    request.releaseSlot = nothing;
    const party = parties?.of(request);
    if (party) request.payers = [party];
    const refused = party && refusalOf(party, firstCost(party, request));
    if (refused || isNeverShed(request.routeOptions.url)) return done(refused);
    const place = workload.enter(party?.key);
    if (typeof place === 'string') return done(place === 'full' || !party ? overloaded() : shareTaken(party));
    request.place = place;
    request.releaseSlot = place.leave;
    const turn = party && turns && takeTurn(turns, party, request, done);
    // Not onResponse, which is not called if the client has closed the connection; which it may have done while its token was
    // verified: then this gives back at once all that has been taken before.
    whenResponseEnds(reply, () => request.releaseSlot());
    if (!turn || turn.isNow) done();
  });
  app.addHook('preHandler', (request, _reply, done) => {
    const customerId = customerNamed(request);
    try {
      if (customerId !== undefined) request.drawFor(customerId);
      done();
    } catch (refused) {
      done(refused as Error);
    }
  });
}

/** @param done is called when the turn comes, unless it is now */
function takeTurn(turns: Turns, party: Party, request: FastifyRequest, done: (err?: Error) => void): Turn {
  const { leave } = request.place as Place;
  const giveUp = () =>
    done(tooMany('Too many of your requests are in work; its turn did not come.', party.key, 'turn'));
  const turn = turns.take(party.key, party.allowance.atATime, () => done(), giveUp);
  request.releaseSlot = () => {
    leave();
    turn.end();
  };
  return turn;
}

function drawFor(parties: Parties, request: FastifyRequest, customerId: string): void {
  const service = parties.of(request);
  if (!service?.isService) return;
  const customer = parties.customer(customerId);
  request.payers?.push(customer);
  // The customer first: what it is refused does not use up what its service has for others.
  const refused = refusalOf(customer, costOfRequest(request));
  if (refused) throw paid(refused);
  const serviceRefused = refusalOf(service, restOfService(request));
  if (serviceRefused) throw serviceRefused;
  if (request.place && !request.place.join(customer.key)) throw paid(shareTaken(customer));
}

/**
 * The service has paid for it, so it is sent at once: held, it would take up one of the connections that the service asks on
 * for all its customers.
 */
function paid(refused: Problem): Problem {
  refused.options.isPaid = true;
  return refused;
}

/** A service pays one at first, where it will be known in whose name it asks, and the rest when that customer has not been refused. */
const firstCost = (party: Party, request: FastifyRequest): number =>
  party.isService && concernsCustomer(request) ? 1 + costOfBody(request) : costOfRequest(request);

const concernsCustomer = ({ routeOptions: { url = '' }, method, query }: FastifyRequest): boolean =>
  url.startsWith('/orders/:id') || (url === '/orders' && (method === 'POST' || hasCustomer(query)));

/** Named by the request itself; whose an order is, its route finds out. */
function customerNamed({ routeOptions: { url }, body, query }: FastifyRequest): string | undefined {
  if (url !== '/orders') return undefined;
  return hasCustomer(body) ? body.customerId : hasCustomer(query) ? query.customerId : undefined;
}

const hasCustomer = (part: unknown): part is { customerId: string } =>
  typeof (part as { customerId?: unknown } | null | undefined)?.customerId === 'string';

const shareTaken = ({ key }: Party) =>
  tooMany('So many of your requests are in work that the others’ need what is left.', key, 'share');
