/** Looks all the while, in one snapshot each, whether stock adds up: at every moment it must, not only in the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkInvariants } from '../verification/invariants.js';
import { readStock } from './verify/postgres.js';
import type { Installation } from './world/installation.js';

export type Sampler = { looks: () => number; violations: () => string[]; stop: () => Promise<void> };

const EVERY_MS = 1_000;

export function startSampler({ pool }: Installation): Sampler {
  const violations = new Set<string>();
  let looks = 0;
  let isOver = false;
  const look = async () => {
    const stock = await readStock(pool).catch(() => undefined); // its server is down just now
    if (!stock) return;
    looks++;
    for (const { violations: found } of checkInvariants({ orders: [], events: [], ...stock }, [
      'I2 stock is conserved',
    ]))
      for (const { says } of found) violations.add(`amid the faults: ${says}`);
  };
  const looking = (async () => {
    while (!isOver) {
      await look();
      await sleep(EVERY_MS);
    }
  })();
  return {
    looks: () => looks,
    violations: () => [...violations],
    stop: async () => {
      isOver = true;
      await looking;
    },
  };
}
