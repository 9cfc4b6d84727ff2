/**
 * The watch: tells waiting requests that there may be news. One notification channel and one poll serve all of them;
 * each then re-reads what it waits for.
 */
import type { Logger } from 'pino';
import { OUTBOX_CHANNEL } from '../contracts/ids.js';
import { listen } from '../runtime/listener.js';

export type Watch = {
  /** Resolves at the next sign of news, at the next poll, or when `signal` aborts. */
  news(signal?: AbortSignal): Promise<void>;
  stop(): Promise<void>;
};

/** How late a waiter is when the notification is lost. */
const POLL_MS = 500;
/** A burst of notifications wakes the waiters once. */
const CALM_MS = 15;

export function createWatch(databaseUrl: string, logger: Logger): Watch {
  let waiters = new Set<() => void>();
  let calm: NodeJS.Timeout | undefined;
  const ring = () => {
    calm = undefined;
    const woken = waiters;
    waiters = new Set();
    for (const wake of woken) wake();
  };
  const soon = () => {
    if (waiters.size > 0) calm ??= setTimeout(ring, CALM_MS);
  };
  const stopListening = listen(databaseUrl, OUTBOX_CHANNEL, soon, logger);
  const poll = setInterval(ring, POLL_MS);
  return {
    news: (signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const done = () => {
          waiters.delete(done);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        waiters.add(done);
        signal?.addEventListener('abort', done);
      }),
    stop: async () => {
      clearInterval(poll);
      clearTimeout(calm);
      ring();
      await stopListening();
    },
  };
}
