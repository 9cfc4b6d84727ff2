/**
 * Changes of orders, as Postgres notifies them: one connection per process, however many requests wait. A notification is a
 * hint; who is told reads the truth, and looks at intervals without one, too.
 */
import type { Logger } from 'pino';
import { ORDER_FINAL, OUTBOX_CHANNEL } from '../../contracts/ids.js';
import { listen } from '../../runtime/listener.js';

/** `orderId` undefined = any order may have changed; `isFinal`: it may have become CONFIRMED or CANCELLED. */
export type OrderChange = { orderId?: string; isFinal: boolean };

export type OrderChanges = {
  /** Resolves at the next sign of a change of any order, when it is time to look all the same, or when `signal` aborts. */
  next(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
};

/** How late a waiter is when the notification is lost. */
export const POLL_MS = 500;
/** A burst of notifications wakes who waits for all orders once. */
const DEBOUNCE_MS = 100;

/** @param onChange called for each notification; must not throw */
export function createOrderChanges(
  databaseUrl: string,
  onChange: (change: OrderChange) => void,
  logger: Logger,
  pollMs = POLL_MS,
): OrderChanges {
  const waiters = new Set<() => void>();
  let debounce: NodeJS.Timeout | undefined;
  const wake = () => {
    debounce = undefined;
    for (const done of [...waiters]) done(); // a copy: one that waits again at once is not woken again
  };
  const stopListening = listen(
    databaseUrl,
    OUTBOX_CHANNEL,
    (payload) => {
      onChange(read(payload));
      if (waiters.size > 0) debounce ??= setTimeout(wake, DEBOUNCE_MS);
    },
    logger,
  );
  return {
    next: (signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const done = () => {
          clearTimeout(poll);
          waiters.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        const poll = setTimeout(done, pollMs);
        waiters.add(done);
        signal.addEventListener('abort', done);
      }),
    stop: async () => {
      clearTimeout(debounce);
      wake();
      await stopListening();
    },
  };
}

/** After a (re)connection there is no payload: some may have been missed. */
function read(payload: string | undefined): OrderChange {
  if (!payload) return { isFinal: true };
  const isFinal = payload.endsWith(ORDER_FINAL);
  return { orderId: isFinal ? payload.slice(0, -ORDER_FINAL.length) : payload, isFinal };
}
