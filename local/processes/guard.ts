/** The launcher's guard: runtime/guard, which prints on the console. No stray error may take everything that the launcher runs with it. */
import { guarded, guardProcess, type Teller, tellUnexpected } from '../../runtime/guard.js';
import { say } from '../say.mjs';

const teller: Teller = {
  error: ({ err, place, nth }) =>
    say(`An unexpected error in the launcher (${place}, no. ${nth}); it goes on. ${(err as Error)?.stack ?? err}`),
};

export const tell = (place: string, err: unknown): void => tellUnexpected(teller, place, err);

/** @returns `act` as a callback that neither throws nor rejects */
export const safely = <A extends unknown[]>(place: string, act: (...args: A) => unknown): ((...args: A) => void) =>
  guarded(teller, place, act);

/** The reader may be gone, as after `npm start | head`: reporting that would fail, too. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/** To be called once everything runs: what fails before ends the start, see `runScript`. */
export const guardLauncher = (): void => guardProcess(teller);
