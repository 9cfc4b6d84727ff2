/**
 * A clock that jumps while its process runs, for all of it: JavaScript, SQL and what lies below them. By libfaketime, where the machine
 * has it; what measures time that has passed goes on as it did (CLOCK_MONOTONIC), as it does when a real clock is set.
 */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwawayPlace } from '../../local/postgres/place.js';
import { unprivilegedUser } from '../../local/processes/unprivileged.js';
import type { Begin } from './act.js';
import { partOf, upAgain } from './processes.js';

const LIBRARIES = '/usr/lib';
/** Seconds. Every lease, budget and signature of the product is shorter than the longest of them. */
const JUMPS_S = [40, -40, 300, -300, 7_200, -7_200];
/** The library looks at its file again after a second. */
const TAKES_EFFECT_MS = 1_500;

export const clockJump: Begin = async (around, { target, no }) => {
  const library = findLibrary();
  if (library === undefined) return undefined;
  const part = partOf(around, target);
  // Postgres runs as a user of its own, who must be able to read it.
  const place = throwawayPlace(unprivilegedUser());
  const file = join(place, 'clock');
  const setTo = (seconds: number) => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}\n`, { mode: 0o644 });
  const restartWith = async (variables: NodeJS.ProcessEnv) => {
    await part.stop();
    part.vary(variables);
    await upAgain(part);
  };
  setTo(0);
  await restartWith({
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  });
  setTo(JUMPS_S[no % JUMPS_S.length] as number);
  await sleep(TAKES_EFFECT_MS);
  return async () => {
    setTo(0);
    await sleep(TAKES_EFFECT_MS);
    await restartWith({});
    rmSync(place, { recursive: true, force: true });
  };
};

function findLibrary(): string | undefined {
  const folders = existsSync(LIBRARIES) ? readdirSync(LIBRARIES) : [];
  return folders.map((name) => join(LIBRARIES, name, 'faketime', 'libfaketime.so.1')).find((path) => existsSync(path));
}
