/**
 * Changes of orders: wakes waiting requests when there may be something new. One notification channel serves all of them; a
 * request that waits for one order is woken for that one only. Each then re-reads what it waits for, and does so at intervals
 * without a notification, too.
 */
import type { Logger } from 'pino';
import { OUTBOX_CHANNEL } from '../contracts/ids.js';
import { listen } from '../runtime/listener.js';

export type OrderChanges = {
  /**
   * Resolves at the next sign of a change, when it is time to look all the same, or when `signal` aborts.
   * @param about.orderId the order that is waited for; undefined = every order
   */
  next(about?: { signal?: AbortSignal; orderId?: string }): Promise<void>;
  stop(): Promise<void>;
};

/** How late a waiter is when the notification is lost. Each counts from its own beginning, so they do not all ask at once. */
const POLL_MS = 500;
/** A burst of notifications wakes the requests that wait for all orders once. */
const DEBOUNCE_MS = 15;

type Waiters = Set<() => void>;

export function createOrderChanges(databaseUrl: string, logger: Logger, pollMs = POLL_MS): OrderChanges {
  const waitersForAll: Waiters = new Set();
  const waitersByOrder = new Map<string, Waiters>();
  let debounce: NodeJS.Timeout | undefined;
  const wakeWaitersForAll = () => {
    debounce = undefined;
    wake(waitersForAll);
  };
  const wakeAll = () => {
    wakeWaitersForAll();
    for (const waiters of waitersByOrder.values()) wake(waiters);
  };
  const onNotification = (orderId?: string) => {
    if (!orderId) return wakeAll(); // some may have been missed
    wake(waitersByOrder.get(orderId));
    if (waitersForAll.size > 0) debounce ??= setTimeout(wakeWaitersForAll, DEBOUNCE_MS);
  };
  const stopListening = listen(databaseUrl, OUTBOX_CHANNEL, onNotification, logger);
  return {
    next: ({ signal, orderId } = {}) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const waiters = orderId === undefined ? waitersForAll : waitersOf(waitersByOrder, orderId);
        const done = () => {
          clearTimeout(poll);
          waiters.delete(done);
          if (orderId !== undefined && waiters.size === 0) waitersByOrder.delete(orderId);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const poll = setTimeout(done, pollMs);
        waiters.add(done);
        signal?.addEventListener('abort', done);
      }),
    stop: async () => {
      clearTimeout(debounce);
      wakeAll();
      await stopListening();
    },
  };
}

function waitersOf(waitersByOrder: Map<string, Waiters>, orderId: string): Waiters {
  const waiters = waitersByOrder.get(orderId) ?? new Set();
  waitersByOrder.set(orderId, waiters);
  return waiters;
}

/** Each takes itself off the list. A copy is walked, so that one that waits again at once is not woken again. */
function wake(waiters: Waiters | undefined): void {
  for (const done of [...(waiters ?? [])]) done();
}
