/**
 * Free requests: health and browsers' preflights, which are refused nobody and take no place in the workload. They are not
 * without cost: five hundred connections that ask for nothing else had others wait for half a second. So one address is
 * answered so many a second at once, and the others later. Probes ask the metrics port, which strangers do not reach.
 */
import type { Api } from '../dependencies.js';
import { addressKey } from '../../runtime/listeners/client-address.js';
import { createPace } from './refusals.js';

/** A balancer with many nodes asks some ten times a second. */
const PER_SECOND = 100;

/** Must come before what answers them, and after pipelined requests have been put in line: each connection then holds one. */
export function paceFreeRequests(app: Api): void {
  const pace = createPace(PER_SECOND);
  app.addHook('onRequest', ({ method, routeOptions, ip }, _reply, done) => {
    const isFree = method === 'OPTIONS' || routeOptions.url === '/livez' || routeOptions.url === '/readyz';
    const held = isFree ? pace(addressKey(ip)) : undefined;
    if (held) void held.then(() => done());
    else done();
  });
}
