/**
 * The guard: what a handler, a timer or a listener throws is logged and counted, and ends no process. What decides anything is
 * in Postgres and Temporal, and every statement of ours may be carried out twice; a process that dies of a stray error takes
 * every order with it that it is about to accept. `guarded` stands where an error is caught; `guardProcess` behind all
 * else. What ends a process on purpose says so with `process.exit`.
 */
import { Counter } from 'prom-client';
import { describeError } from './errors/facts.js';

/** A logger, or the launcher's console. */
export type ErrorLogger = { error: (about: { err: unknown; place: string; nth: number }, message: string) => void };
type LibraryLogger = ErrorLogger & { warn: (about: object, message: string) => void };

/** Each is a bug of ours, or of a library's. */
export const unexpectedErrors = new Counter({
  name: 'order_saga_unexpected_errors_total',
  help: 'Errors that a handler, timer or listener of this process did not expect',
  labelNames: ['place'],
  registers: [],
});

const times = new Map<string, number>();

/** @param place a word or two of ours: it becomes a label */
export function reportUnexpected(logger: ErrorLogger, place: string, err: unknown): void {
  const nth = (times.get(place) ?? 0) + 1;
  times.set(place, nth);
  unexpectedErrors.inc({ place });
  // The 1st, 2nd, 4th, 8th … time: a timer that always throws must be seen, but not fill the log.
  if (Number.isInteger(Math.log2(nth))) logger.error({ err, place, nth }, 'an unexpected error; going on');
}

/** @returns `act` as a callback that neither throws nor rejects */
export function guarded<A extends unknown[]>(
  logger: ErrorLogger,
  place: string,
  act: (...args: A) => unknown,
): (...args: A) => void {
  return (...args) => {
    try {
      const result = act(...args);
      if (result instanceof Promise) result.catch((err: unknown) => reportUnexpected(logger, place, err));
    } catch (err) {
      reportUnexpected(logger, place, err);
    }
  };
}

/** To be called once, when the process has its logger. What fails while it starts still ends it: see `runMain`. */
export function guardProcess(logger: LibraryLogger): void {
  hearLibraries(logger);
  process.on('unhandledRejection', (err) => reportUnexpected(logger, 'rejection', err));
  process.on('uncaughtException', (err) => reportUnexpected(logger, 'exception', err));
}

/** What libraries print by themselves, and Node of them, quotes what they were given: URLs with passwords, for one. */
function hearLibraries(logger: LibraryLogger): void {
  process.removeAllListeners('warning'); // Node's own printer
  process.on('warning', (warning) => {
    const { type, code, stack } = describeError(warning);
    logger.warn({ type, code, stack }, 'a warning by Node or a library; its text is withheld');
  });
  for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const)
    console[method] = (...args: unknown[]) => {
      const { stack } = describeError(new Error('printed'));
      const errors = args.filter((arg) => arg instanceof Error).map(describeError);
      logger.warn({ method, stack, errors }, 'a library has printed something; its text is withheld');
    };
}
