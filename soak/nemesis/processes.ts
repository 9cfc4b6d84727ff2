/** Faults of processes: killed, frozen, restarted, deployed anew, with a wrong clock. */
import { join } from 'node:path';
import { CHECKOUT } from '../../local/checkout.js';
import { type Fault, type PartName, SERVICES } from '../plan/faults.js';
import type { Installation } from '../world/installation.js';
import type { Part } from '../world/part.js';
import { until } from '../world/waiting.js';
import type { Begin } from './act.js';

/** Beside other faults: a start needs Postgres, whose link may be silent just then. */
const READY_LIMIT_MS = 120_000;

export function partOf(around: Installation, name: string): Part {
  const part = around.parts.get(name as PartName);
  if (!part) throw new Error(`there is no ${name} to harm`);
  return part;
}

export async function upAgain(part: Part): Promise<void> {
  part.up();
  await until(`${part.name} is ready again`, READY_LIMIT_MS, () => part.isReady());
}

export const kill: Begin = async (around, { target }) => {
  const part = partOf(around, target);
  await part.kill();
  return () => upAgain(part);
};

/** Not dead: its connections stay open, and nothing answers on them. */
export const pause: Begin = async (around, { target }) => {
  const part = partOf(around, target);
  part.pause();
  return async () => part.resume();
};

export const restart: Begin = async (around, { target }) => {
  const part = partOf(around, target);
  await part.stop();
  return () => upAgain(part);
};

/** A standby follows it, and each commit waits for that, until it is lost with its disk; what was acknowledged is on the other one. */
export const promote: Begin = async (around, { target }) => {
  const part = partOf(around, target);
  const standby = await around.postgres.followed();
  return async () => {
    await part.kill();
    await standby.promote();
    await upAgain(part);
  };
};

/** One process after the other, as a rolling deployment of the same build. */
export const deploy: Begin = async (around) => {
  for (const name of SERVICES) {
    const part = partOf(around, name);
    await part.stop();
    await upAgain(part);
  }
  return async () => undefined;
};

const MINUTE_MS = 60_000;
const AHEAD_MS = [5 * MINUTE_MS, -5 * MINUTE_MS, 120 * MINUTE_MS, -120 * MINUTE_MS];

/** Of what its JavaScript reads; timers and other processes keep the right time. */
export const clock: Begin = async (around, { target, no }: Fault) => {
  const part = partOf(around, target);
  const restartWith = async (variables: NodeJS.ProcessEnv) => {
    await part.stop();
    part.vary(variables);
    await upAgain(part);
  };
  await restartWith({
    NODE_OPTIONS: `--import ${join(CHECKOUT, 'soak', 'world', 'skewed-clock.mjs')}`,
    SOAK_CLOCK_AHEAD_MS: `${AHEAD_MS[no % AHEAD_MS.length]}`,
  });
  return () => restartWith({});
};
