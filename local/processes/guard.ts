/** The launcher's guard: runtime/guard, which logs to the console. No stray error may take everything that the launcher runs with it. */
import { printableError } from '../../runtime/errors/facts.js';
import { guarded, guardProcess, reportUnexpected } from '../../runtime/guard.js';
import { say } from '../say.mjs';

const teller = {
  error: ({ err, place, nth }: { err: unknown; place: string; nth: number }) =>
    say(`An unexpected error in the launcher (${place}, no. ${nth}); it goes on. ${printableError(err)}`),
  warn: (_: object, message: string) => say(message),
};

export const tell = (place: string, err: unknown): void => reportUnexpected(teller, place, err);

/** @returns `act` as a callback that neither throws nor rejects */
export const safely = <A extends unknown[]>(place: string, act: (...args: A) => unknown): ((...args: A) => void) =>
  guarded(teller, place, act);

/** The console may be gone, as after `npm start | head`: reporting that would fail, too. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/** To be called once everything runs: what fails before ends the start, see `runScript`. */
export const guardLauncher = (): void => guardProcess(teller);

/** What the start failed of, as its script prints it: a sentence of ours, or what may be said of another error. */
export function presentable(err: unknown): unknown {
  if (['SetupError', 'ConfigError'].includes((err as Error | undefined)?.name ?? '')) return err;
  return Object.assign(new Error('the start failed', { cause: err }), { stack: printableError(err) });
}
