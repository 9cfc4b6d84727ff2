/**
 * A channel: hints that the processes at one database give each other. A hint is given at once to this process, and to the others
 * in batches, each one commit over a connection of its own: every commit with a NOTIFY waits for every other one, so no
 * transaction that anything waits for should have one. A hint may be lost, with a connection or a process: whoever subscribes also
 * looks at intervals.
 */
import type { Logger } from 'pino';
import type { DatabaseUrl } from './database-sessions.js';
import { guarded } from './guard.js';
import { openListener } from './listener.js';

export type Channel = {
  /** Never throws, and waits for nothing. */
  announce(hint: string): void;
  /**
   * @param onHint called for each hint, and without one when some may have been missed
   * @returns how to end it
   */
  subscribe(onHint: (hint?: string) => void): () => void;
  /** What has been announced is sent to the others first, if that can be done soon. */
  stop(): Promise<void>;
};

/** Between two batches of a process that has hints all the time. */
const BATCH_EVERY_MS = 100;
/** One that is quiet need not wait: so many batches may come early, as many as an order without trouble has changes. */
const EARLY_MAX = 3;
/** Distinct hints of one batch. A process that changes more than that within one does not know what it says any more. */
const PENDING_MAX = 10_000;
/** What is said in their place: an empty payload names nothing, so it may be anything. */
const ANYTHING = '';
const FLUSH_LIMIT_MS = 1_000;

export function openChannel({ url, name, logger }: { url: DatabaseUrl; name: string; logger: Logger }): Channel {
  const subscribers = new Set<(hint?: string) => void>();
  const tellSubscribers = (hint?: string) => {
    for (const tell of subscribers) tell(hint);
  };
  const listener = openListener(url, name, (hint) => tellSubscribers(hint || undefined), logger);
  const batches = createBatches(listener.notify, logger);
  return {
    announce: (hint) => {
      tellSubscribers(hint);
      batches.add(hint);
    },
    subscribe: (onHint) => {
      const tell = guarded(logger, 'hint', onHint);
      subscribers.add(tell);
      return () => void subscribers.delete(tell);
    },
    stop: async () => {
      await batches.flush();
      await listener.stop();
    },
  };
}

function createBatches(notify: (hints: string[]) => Promise<void>, logger: Logger) {
  let pending = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let stopped = false;
  let dueAtMs = 0;
  let failures = 0;

  const send = async () => {
    const hints = [...pending];
    pending = new Set();
    dueAtMs = Math.max(dueAtMs, performance.now() - EARLY_MAX * BATCH_EVERY_MS) + BATCH_EVERY_MS;
    try {
      await notify(hints);
      failures = 0;
    } catch (err) {
      // Not kept: by the time that they could be sent, the others have looked by themselves.
      failures++;
      if (Number.isInteger(Math.log2(failures)))
        logger.warn({ err, failures }, 'other processes are not notified; they look at intervals');
    }
  };
  const sendInTurn = () => {
    timer = undefined;
    sending = send().finally(() => {
      sending = undefined;
      schedule();
    });
  };
  const schedule = () => {
    if (stopped || timer || sending || pending.size === 0) return;
    timer = setTimeout(sendInTurn, Math.max(0, dueAtMs - performance.now()));
  };
  return {
    add: (hint: string) => {
      if (stopped) return;
      if (pending.size >= PENDING_MAX) pending = new Set([ANYTHING]);
      pending.add(hint);
      schedule();
    },
    flush: async () => {
      stopped = true;
      clearTimeout(timer);
      let limit: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        limit = setTimeout(resolve, FLUSH_LIMIT_MS);
      });
      const flushed = async () => {
        await sending;
        if (pending.size > 0) await send();
      };
      await Promise.race([flushed(), late]);
      clearTimeout(limit);
    },
  };
}
