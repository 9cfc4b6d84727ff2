/** The waker signals a saga that seems not to know of its charge; it would find out by itself later, if nothing else is wrong. */
import type { Logger } from 'pino';

/** A saga that was woken in vain is stuck on something else, and marked for an operator. */
const WAKE_AGAIN_AFTER_MS = 5 * 60_000;
/** Orders remembered; beyond it all are forgotten, which costs a few signals. */
const WOKEN_MAX = 10_000;

/** Wakes an order's saga. @returns whether it did */
export type WakeOrder = (order: { orderId: string; correlationId: string | undefined }) => Promise<boolean>;

/**
 * @param signal reaches the saga; may fail
 * @returns a function that says whether the saga was woken: not again within minutes
 */
export function createWaker(signal: (orderId: string) => Promise<void>, logger: Logger): WakeOrder {
  /** Order → when, on a clock that never jumps. */
  const woken = new Map<string, number>();
  return async ({ orderId, correlationId }) => {
    const last = woken.get(orderId);
    if (last !== undefined && performance.now() - last < WAKE_AGAIN_AFTER_MS) return false;
    if (woken.size >= WOKEN_MAX) woken.clear();
    woken.set(orderId, performance.now());
    try {
      await signal(orderId);
      logger.info({ correlationId, orderId }, 'reconciliation: the saga was told that its charge exists');
      return true;
    } catch (err) {
      logger.debug({ correlationId, orderId, err }, 'reconciliation: the saga could not be woken');
      return false;
    }
  };
}
