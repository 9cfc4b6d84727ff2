/**
 * Orderly shutdown: the first SIGTERM, SIGINT or SIGHUP runs `stop` once and exits 0; a stop that exceeds its limit, or
 * a second signal, exits 1. A process that cannot stop cleanly must still stop: its supervisor relies on that.
 */
import type { Logger } from 'pino';

/** Longest orderly stop. Below the 20 s that the launcher, Compose and Kubernetes grant before they kill. */
const STOP_LIMIT_MS = 15_000;

export function stopOnSignals(logger: Logger, stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping) {
      logger.warn({ signal }, 'second signal: exiting at once');
      process.exit(1);
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    setTimeout(() => {
      logger.error({ limitMs: STOP_LIMIT_MS }, 'did not stop in time: exiting');
      process.exit(1);
    }, STOP_LIMIT_MS).unref();
    // Also of a stop that throws instead of rejecting.
    Promise.resolve()
      .then(stop)
      .then(
        () => process.exit(0),
        (err: unknown) => {
          logger.error({ err }, 'stopping failed');
          process.exit(1);
        },
      );
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, onSignal);
}
