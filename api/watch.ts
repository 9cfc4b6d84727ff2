/**
 * The watch: tells waiting requests that there may be news. One notification channel serves all of them; whoever waits for
 * one order is told of that one only. Each then re-reads what it waits for, and does so at times without being told.
 */
import type { Logger } from 'pino';
import { OUTBOX_CHANNEL } from '../contracts/ids.js';
import { listen } from '../runtime/listener.js';

export type Watch = {
  /**
   * Resolves at the next sign of news, when it is time to look all the same, or when `signal` aborts.
   * @param about.orderId the order that is waited for; undefined = every order
   */
  news(about?: { signal?: AbortSignal; orderId?: string }): Promise<void>;
  stop(): Promise<void>;
};

/** How late a waiter is when the notification is lost. Each counts from its own beginning, so they do not all ask at once. */
const POLL_MS = 500;
/** A burst of notifications wakes those who wait for all orders once. */
const CALM_MS = 15;

type Waiters = Set<() => void>;

export function createWatch(databaseUrl: string, logger: Logger, pollMs = POLL_MS): Watch {
  const ofAll: Waiters = new Set();
  const ofOrder = new Map<string, Waiters>();
  let calm: NodeJS.Timeout | undefined;
  const ring = () => {
    calm = undefined;
    wake(ofAll);
  };
  const ringEveryone = () => {
    ring();
    for (const waiters of ofOrder.values()) wake(waiters);
  };
  const onNotification = (orderId?: string) => {
    if (!orderId) return ringEveryone(); // some may have been missed
    wake(ofOrder.get(orderId));
    if (ofAll.size > 0) calm ??= setTimeout(ring, CALM_MS);
  };
  const stopListening = listen(databaseUrl, OUTBOX_CHANNEL, onNotification, logger);
  return {
    news: ({ signal, orderId } = {}) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const waiters = orderId === undefined ? ofAll : waitersOf(ofOrder, orderId);
        const done = () => {
          clearTimeout(poll);
          waiters.delete(done);
          if (orderId !== undefined && waiters.size === 0) ofOrder.delete(orderId);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const poll = setTimeout(done, pollMs);
        waiters.add(done);
        signal?.addEventListener('abort', done);
      }),
    stop: async () => {
      clearTimeout(calm);
      ringEveryone();
      await stopListening();
    },
  };
}

function waitersOf(ofOrder: Map<string, Waiters>, orderId: string): Waiters {
  const waiters = ofOrder.get(orderId) ?? new Set();
  ofOrder.set(orderId, waiters);
  return waiters;
}

/** Each takes itself off the list; whoever waits again meanwhile is not told of what it has just been told. */
function wake(waiters: Waiters | undefined): void {
  for (const done of [...(waiters ?? [])]) done();
}
