/** The saga on a virtual clock: what the simulation promises of itself. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { PLANTED } from '../../simulation/planted.js';
import { load, notReached, runSeeds } from '../../simulation/run.js';
import { simulate } from '../../simulation/saga.js';
import { Tape } from '../../simulation/tape.js';
import { fromRecorded } from '../../simulation/temporal/recorded.js';
import { NotTheSame, replay } from '../../simulation/temporal/replay.js';
import { HISTORIES } from '../support/histories.js';

/** npm test builds it before it runs. */
const DIST = join(process.cwd(), 'dist');
/**
 * A request that was given up arrives 25 minutes late. The undo's last look-up cannot see it, since the account's search is late, too; an
 * attempt of that undo that slept looks up a second later, sees it, and has no time left to give it back.
 */
const FORGOTTEN_FINDS = [
  3, 0, 2, 0, 2, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 3, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 1, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 1, 3, 0, 0, 1, 3, 0, 0, 0, 0, 0, 1,
  1,
];
const files = readdirSync(HISTORIES).filter((file) => file.endsWith('.json'));
const read = (file: string) => {
  const events = fromRecorded(JSON.parse(readFileSync(join(HISTORIES, file), 'utf8')), 'order-1');
  // The server's own note of patches: no workflow asks for it.
  return events.filter((event) => !(event.type === 'upsert' && 'TemporalChangeVersion' in event.attributes));
};

describe('a simulated saga', () => {
  test('asks for the same as each that was recorded on a real server', () => {
    const { product } = load(DIST);
    expect(files.length).toBeGreaterThan(50);
    for (const file of files) {
      const { core } = replay(product, read(file), { strictly: false });
      core.dispose();
    }
  });

  test('would not pass for one that was recorded otherwise', () => {
    const { product } = load(DIST);
    const history = read('confirmed.in-turns.json').filter((event) => event.type !== 'laMarker' || event.seq !== 1);
    expect(() => replay(product, history, { strictly: false })).toThrow(NotTheSame);
  });

  test('does the same each time, and keeps every invariant; the common ones of the rare paths are reached', async () => {
    const seeds = process.env['FULL'] === '1' ? 20_000 : 1_000;
    const findings = await runSeeds(() => load(DIST), { from: 0, seeds });
    expect(findings.failing).toBeUndefined();
    expect(notReached(findings)).toEqual([]);
    const tapes = [1, 2].map(() => {
      const tape = new Tape({ seed: 42 });
      const { executions } = simulate(load(DIST), tape);
      return JSON.stringify([tape.values, executions.map(({ history }) => history)]);
    });
    expect(tapes[0]).toBe(tapes[1]);
  }, 600_000);

  test('owes no more than its undo could know: not what only an attempt that it had gone on without has found', () => {
    const { violation, reached } = simulate(load(DIST), new Tape({ values: FORGOTTEN_FINDS }));
    expect([...reached]).toContain('a look-up finds a charge that nobody knew of');
    expect(violation).toBeUndefined();
  });
});

describe('a planted bug', () => {
  function found(loaded: ReturnType<typeof load>, seeds: number): string | undefined {
    let broken: string | undefined;
    for (let seed = 0; seed < seeds && broken === undefined; seed++)
      broken = simulate(loaded, new Tape({ seed })).violation?.invariant;
    return broken;
  }

  test.each(PLANTED)(
    'is caught: $name',
    ({ change, world, caughtBy, tape, seeds = 400 }) => {
      const loaded = load(DIST, change ? [change] : [], world);
      const broken = tape
        ? simulate(loaded, new Tape({ values: [...tape] })).violation?.invariant
        : found(loaded, seeds);
      expect(broken).toBe(caughtBy);
    },
    300_000,
  );
});
