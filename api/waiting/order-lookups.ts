/**
 * Look-ups for requests that wait for orders: however many wait, one statement looks for all of them. It is made when an order
 * that is waited for is notified (those notified meanwhile are in the next one), and at intervals for all, since notifications
 * are lost when a connection is. Nobody waits, nothing is asked.
 */
import type { Logger } from 'pino';
import { startLoop } from '../../runtime/loop.js';

/** One request's interest in one order. From its beginning on no change of the order is missed, waited for or not. */
export type OrderWatch<About, Answer> = {
  /** @returns undefined when `signal` aborts */
  next(about: About, signal: AbortSignal): Promise<Answer | undefined>;
  close(): void;
};

export type OrderLookups<About, Answer> = {
  /** @param isDue there may be something already */
  watch(orderId: string, isDue?: boolean): OrderWatch<About, Answer>;
  /** @param orderId undefined = any order may have changed */
  noteChange(orderId?: string): void;
  stop(): Promise<void>;
};

export type LookupOptions<About, Answer, Found> = {
  name: string;
  /** One statement. @returns what is new by order; `isCut` = there may be more, of any of them */
  find: (waiting: { orderId: string; abouts: About[] }[]) => Promise<{ found: Map<string, Found>; isCut?: boolean }>;
  /** What is new for one of those who wait for the order; undefined = nothing. */
  answer: (found: Found, about: About) => Answer | undefined;
  everyMs: number;
  logger: Logger;
};

/** An array of so many ids is read by one statement within some 20 ms. */
const ORDERS_MAX = 5_000;
const BACKOFF_MAX_MS = 2_000;

type Waiter<About, Answer> = {
  orderId: string;
  waiting?: { about: About; resolve: (answer: Answer | undefined) => void };
};

export function createOrderLookups<About, Answer, Found>(
  options: LookupOptions<About, Answer, Found>,
): OrderLookups<About, Answer> {
  const { name, find, answer, everyMs, logger } = options;
  const byOrder = new Map<string, Set<Waiter<About, Answer>>>();
  /** Whose order may have changed since it was looked at. */
  const due = new Set<Waiter<About, Answer>>();
  let lookedAtAll = performance.now();

  const markAllDue = () => {
    lookedAtAll = performance.now();
    for (const waiters of byOrder.values()) for (const waiter of waiters) due.add(waiter);
  };
  const lookUp = async (): Promise<boolean> => {
    if (performance.now() - lookedAtAll >= 0.9 * everyMs) markAllDue(); // timers are not exact
    const { abouts, asked } = collect(due);
    if (asked.length === 0) return false;
    for (const waiter of asked) due.delete(waiter);
    try {
      const { found, isCut = false } = await find([...abouts].map(([orderId, those]) => ({ orderId, abouts: those })));
      if (isCut) for (const waiter of asked) if (byOrder.has(waiter.orderId)) due.add(waiter);
      tell(asked, found, answer);
      return isCut || abouts.size >= ORDERS_MAX;
    } catch (err) {
      for (const waiter of asked) if (byOrder.get(waiter.orderId)?.has(waiter)) due.add(waiter);
      throw err;
    }
  };
  const loop = startLoop({ name, everyMs, backoffMaxMs: BACKOFF_MAX_MS, logger }, lookUp);

  return {
    watch: (orderId, isDue = false) => {
      const waiter: Waiter<About, Answer> = { orderId };
      add(byOrder, waiter);
      if (isDue) due.add(waiter);
      return {
        next: (about, signal) => {
          const answered = waitFor(waiter, about, signal);
          if (due.has(waiter)) loop.wake();
          return answered;
        },
        close: () => {
          due.delete(waiter);
          remove(byOrder, waiter);
          waiter.waiting?.resolve(undefined);
        },
      };
    },
    noteChange: (orderId) => {
      if (orderId === undefined) markAllDue();
      for (const waiter of byOrder.get(orderId ?? '') ?? []) due.add(waiter);
      if (due.size > 0) loop.wake();
    },
    stop: () => loop.stop(),
  };
}

/** Those that are due and wait: who does not wait just now stays due until it does. */
function collect<About, Answer>(due: Set<Waiter<About, Answer>>) {
  const abouts = new Map<string, About[]>();
  const asked: Waiter<About, Answer>[] = [];
  for (const waiter of due) {
    if (!waiter.waiting) continue;
    if (abouts.size >= ORDERS_MAX) break;
    const those = abouts.get(waiter.orderId);
    if (those) those.push(waiter.waiting.about);
    else abouts.set(waiter.orderId, [waiter.waiting.about]);
    asked.push(waiter);
  }
  return { abouts, asked };
}

function waitFor<About, Answer>(
  waiter: Waiter<About, Answer>,
  about: About,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    const done = (result: Answer | undefined) => {
      delete waiter.waiting;
      signal.removeEventListener('abort', giveUp);
      resolve(result);
    };
    const giveUp = () => done(undefined);
    waiter.waiting = { about, resolve: done };
    signal.addEventListener('abort', giveUp);
  });
}

function tell<About, Answer, Found>(
  asked: Waiter<About, Answer>[],
  found: Map<string, Found>,
  answer: (found: Found, about: About) => Answer | undefined,
): void {
  for (const { orderId, waiting } of asked) {
    const what = found.get(orderId);
    if (what === undefined || !waiting) continue;
    const mine = answer(what, waiting.about);
    if (mine !== undefined) waiting.resolve(mine);
  }
}

function add<A, B>(byOrder: Map<string, Set<Waiter<A, B>>>, waiter: Waiter<A, B>): void {
  const waiters = byOrder.get(waiter.orderId) ?? new Set();
  byOrder.set(waiter.orderId, waiters.add(waiter));
}

function remove<A, B>(byOrder: Map<string, Set<Waiter<A, B>>>, waiter: Waiter<A, B>): void {
  const waiters = byOrder.get(waiter.orderId);
  waiters?.delete(waiter);
  if (waiters?.size === 0) byOrder.delete(waiter.orderId);
}
