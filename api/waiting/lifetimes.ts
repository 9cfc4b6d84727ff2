/** Lifetimes: how long a request may be held open. */
import type { FastifyReply } from 'fastify';
import { whenResponseEnds } from '../http/disconnects.js';

export type Lifetime = {
  /** Aborts when the client has gone, its token has expired, the time is up, or the server stops. */
  signal: AbortSignal;
  /** Ends it now; harmless if it has ended. */
  end: () => void;
};

/** Longer ones would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** @param forMs undefined = as long as the caller may */
export type BeginLifetime = (reply: FastifyReply, forMs?: number) => Lifetime;

/**
 * One listener on the server's signal for all requests: `AbortSignal.any` and `AbortSignal.timeout` hold their sources weakly,
 * and one that is collected never fires.
 */
export function createLifetimes(stopping: AbortSignal): BeginLifetime {
  const lasting = new Set<() => void>();
  stopping.addEventListener('abort', () => {
    for (const end of [...lasting]) end();
  });
  return (reply, forMs = TIMER_MAX_MS) => {
    const { expiresAt = Number.POSITIVE_INFINITY } = reply.request.caller;
    const over = new AbortController();
    const end = () => {
      clearTimeout(timer);
      lasting.delete(end);
      over.abort();
    };
    const timer = setTimeout(end, Math.min(TIMER_MAX_MS, forMs, Math.max(0, expiresAt - Date.now())));
    lasting.add(end);
    if (stopping.aborted) end();
    whenResponseEnds(reply, end);
    return { signal: over.signal, end };
  };
}
