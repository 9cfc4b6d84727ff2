/** Looks all the while: at every moment stock adds up, and no order stands still without saying so; not only in the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkInvariants } from '../verification/invariants.js';
import type { Held } from './result.js';
import { readStock } from './verify/postgres.js';
import { holdStandings, readStandings } from './verify/standings.js';
import { readRunning } from './verify/temporal.js';
import type { Installation } from './world/installation.js';

export type Sampler = { held: () => Held[]; stop: () => Promise<void> };

const STOCK_EVERY_MS = 1_000;
const STANDINGS_EVERY_MS = 5_000;
/** Looks in a row that say the same: lists trail, and whoever would say so may be down just now, for some seconds. */
const LOOKS_IN_A_ROW = 4;

export function startSampler({ pool, direct }: Installation): Sampler {
  const stock: Held = { invariant: 'I2 stock is conserved at every moment', checked: 0, violations: [] };
  const standstill: Held = { invariant: 'I14 nothing is stuck unseen at any moment', checked: 0, violations: [] };
  let suspects = new Map<string, number>();
  let openSince = new Map<string, number>();
  let isOver = false;
  const look = async () => {
    const read = await readStock(pool);
    stock.checked++;
    for (const { violations } of checkInvariants({ orders: [], events: [], ...read }, ['I2 stock is conserved']))
      note(
        stock,
        violations.map(({ says }) => says),
      );
  };
  const lookAtStandings = async () => {
    const read = await readStandings(pool, 'open');
    // By our own clock: Postgres' own may have jumped.
    openSince = new Map(read.map(({ id }) => [id, openSince.get(id) ?? performance.now()]));
    const open = read.map((one) => ({ ...one, openForMs: performance.now() - (openSince.get(one.id) ?? 0) }));
    const found = holdStandings(open, await readRunning(direct.temporal));
    const seen = found.filter(({ invariant }) => invariant === 'I14 nothing is stuck unseen');
    standstill.checked += open.length;
    const says = seen.flatMap(({ violations }) => violations.map((one) => one.says));
    suspects = new Map(says.map((one) => [one, (suspects.get(one) ?? 0) + 1]));
    note(
      standstill,
      [...suspects].filter(([, times]) => times >= LOOKS_IN_A_ROW).map(([one]) => one),
    );
  };
  /** Where a server does not answer just now, that look is left out. */
  const again = async (lookOnce: () => Promise<void>, everyMs: number) => {
    while (!isOver) {
      await lookOnce().catch(() => undefined);
      await sleep(everyMs);
    }
  };
  const looking = Promise.all([again(look, STOCK_EVERY_MS), again(lookAtStandings, STANDINGS_EVERY_MS)]);
  return {
    held: () => [stock, standstill],
    stop: async () => {
      isOver = true;
      await looking;
    },
  };
}

function note({ violations }: Held, says: string[]): void {
  for (const one of says) if (!violations.includes(one)) violations.push(one);
}
