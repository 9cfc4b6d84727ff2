/** Simulated sagas before Temporal's own replayer: what the simulation's server and Core have written, a real worker would take up. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { Worker } from '@temporalio/worker';
import { load } from '../../simulation/run.js';
import { simulate } from '../../simulation/saga.js';
import { Tape } from '../../simulation/tape.js';
import type { HistoryEvent } from '../../simulation/temporal/events.js';
import { toWire } from '../../simulation/temporal/wire.js';
import { workflowBundle } from '../support/histories.js';
import { quietTemporal } from '../support/quiet.js';

beforeAll(quietTemporal);

const SEEDS = process.env['FULL'] === '1' ? 2_000 : 60;

type Run = { workflowId: string; history: HistoryEvent[] };

/** Every run of every saga of a seed; of orders that were cancelled later there are two sagas, of long ones several runs. */
function runsOf(seed: number, loaded: ReturnType<typeof load>): Run[] {
  const { executions } = simulate(loaded, new Tape({ seed }));
  return executions.flatMap(({ earlier, history }, saga) =>
    [...earlier, history].map((run, no) => ({ workflowId: `simulated-${seed}-${saga}-${no}`, history: run })),
  );
}

async function replayed(runs: Iterable<Run>): Promise<{ count: number; failures: string[] }> {
  const histories = async function* () {
    for (const { workflowId, history } of runs)
      yield { workflowId, history: toWire(history, { workflowId, runId: randomUUID() }) };
  };
  const bundle = { code: readFileSync(workflowBundle(), 'utf8') };
  const failures: string[] = [];
  let count = 0;
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle: bundle }, histories())) {
    count++;
    if (error) failures.push(`${workflowId}: ${error.message}`);
  }
  return { count, failures };
}

test('a simulated saga is one that a real worker takes up: Temporal’s own replayer asks for the same', async () => {
  const loaded = load(join(process.cwd(), 'dist'));
  const seeds = Array.from({ length: SEEDS }, (_, seed) => seed);
  const { count, failures } = await replayed(seeds.flatMap((seed) => runsOf(seed, loaded)));
  expect(count).toBeGreaterThanOrEqual(SEEDS);
  expect(failures).toEqual([]);
}, 1_200_000);

test('it would not take up one in which a step is missing', async () => {
  const loaded = load(join(process.cwd(), 'dist'));
  const runs = [0, 1, 2, 3, 4].flatMap((seed) => runsOf(seed, loaded));
  const without = runs.map(({ workflowId, history }) => ({
    workflowId,
    history: history.filter((event) => event.type !== 'laMarker' || event.seq !== 1),
  }));
  const { failures } = await replayed(without);
  expect(failures.length).toBeGreaterThan(0);
});
