/** `Prefer: wait`: the answer to a POST of an order is held back until the order is CONFIRMED or CANCELLED, or the time is up. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { StoredOrder } from '../../contracts/orders.js';
import type { ApiDependencies } from '../dependencies.js';
import { parsePreferWait } from '../http/headers.js';
import { waitsRefused } from '../metrics.js';
import { isRefused } from './places.js';

export type FinalStatusWait = {
  seconds: number;
  /** @returns undefined if the time is up, the token has expired, the client has gone or the server stops */
  order(): Promise<StoredOrder | undefined>;
};

/**
 * Begins to watch the order: before its saga starts, no look is needed until it is final.
 * @param isDue it may be final already
 * @returns undefined if the client does not prefer to wait, or if too many wait: its order is accepted all the same, and the
 *          answer without Preference-Applied says that it was not waited for (RFC 7240)
 */
export function beginWait(
  { waiting }: Pick<ApiDependencies, 'waiting'>,
  request: FastifyRequest,
  reply: FastifyReply,
  { orderId, customerId, isDue }: { orderId: string; customerId: string; isDue: boolean },
): FinalStatusWait | undefined {
  const seconds = parsePreferWait(request.headers['prefer']);
  if (seconds === undefined) return undefined;
  const place = waiting.waits.take(request.caller);
  if (isRefused(place) || place.countFor(customerId)) {
    if (!isRefused(place)) place.giveBack();
    waitsRefused.inc();
    return undefined;
  }
  const watch = waiting.finalOrders.watch(orderId, isDue);
  const { signal, end } = waiting.beginLifetime(reply, seconds * 1_000);
  const release = () => {
    watch.close();
    place.giveBack();
  };
  if (signal.aborted) release();
  else signal.addEventListener('abort', release);
  return {
    seconds,
    order: async () => {
      try {
        return await watch.next(undefined, signal);
      } finally {
        end();
      }
    },
  };
}
