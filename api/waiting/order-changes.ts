/**
 * Changes of orders, as the requests that wait learn of them: from this process at once, from others by its channel, however many
 * wait. Each is a hint; who is told reads the truth, and looks at intervals without one, too.
 */
import { ORDER_FINAL } from '../../contracts/ids.js';
import type { Channel } from '../../runtime/channel.js';

/** `orderId` undefined = any order may have changed; `isFinal`: it may have become CONFIRMED or CANCELLED. */
export type OrderChange = { orderId?: string; isFinal: boolean };

export type OrderChanges = {
  /** Resolves at the next sign of a change of any order, when it is time to look all the same, or when `signal` aborts. */
  next(signal: AbortSignal): Promise<void>;
  stop(): void;
};

/** How late a waiter is when the hint is lost. */
export const POLL_MS = 500;
/** A burst of hints wakes who waits for all orders once. */
const DEBOUNCE_MS = 100;

/** @param onChange called for each hint; must not throw */
export function createOrderChanges(
  channel: Pick<Channel, 'subscribe'>,
  onChange: (change: OrderChange) => void,
  pollMs = POLL_MS,
): OrderChanges {
  const waiters = new Set<() => void>();
  let debounce: NodeJS.Timeout | undefined;
  const wake = () => {
    debounce = undefined;
    for (const done of [...waiters]) done(); // a copy: one that waits again at once is not woken again
  };
  const unsubscribe = channel.subscribe((hint) => {
    onChange(read(hint));
    if (waiters.size > 0) debounce ??= setTimeout(wake, DEBOUNCE_MS);
  });
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
    stop: () => {
      unsubscribe();
      clearTimeout(debounce);
      wake();
    },
  };
}

/** Without a hint, some may have been missed. */
function read(hint: string | undefined): OrderChange {
  if (hint === undefined) return { isFinal: true };
  const isFinal = hint.endsWith(ORDER_FINAL);
  return { orderId: isFinal ? hint.slice(0, -ORDER_FINAL.length) : hint, isFinal };
}
