/** Start-up: from `npm start` to its banner, from an empty folder and from a used one, and what it then holds in memory. */
import { memoryByName } from '../processes.js';
import { newInstallation } from '../product.js';
import type { Findings } from '../report.js';
import type { Bench, Scenario } from '../scenario.js';
import { median, sum } from '../statistics.js';

export const startUp: Scenario = { name: 'start-up', run };

async function run(bench: Bench): Promise<Findings> {
  const memory: Map<string, number>[] = [];
  for (let repetition = 1; repetition <= bench.repetitions; repetition++) {
    const installation = await newInstallation();
    try {
      await installation.run(async ({ readySeconds }) => void bench.starts.first.push(readySeconds));
      await installation.run(async ({ readySeconds, roots }) => {
        bench.starts.again.push(readySeconds);
        memory.push(memoryByName(roots()));
      });
    } finally {
      await installation.remove();
    }
    bench.say(
      `  ${repetition} of ${bench.repetitions}: ${bench.starts.first.at(-1)?.toFixed(1)} s, again ${bench.starts.again.at(-1)?.toFixed(1)} s`,
    );
  }
  const { first, again } = bench.starts;
  const list = (values: number[]) => `${values.map((s) => s.toFixed(1)).join(', ')} s`;
  const names = [...(memory[0]?.keys() ?? [])];
  const mebibytes = (name: string) => median(memory.map((of) => of.get(name) ?? 0));
  return {
    figures: [
      {
        what: '`npm start` to ready, the first time',
        value: median(first),
        unit: 's',
        target: { atMost: 6 },
        from: list(first),
      },
      {
        what: '`npm start` to ready, again',
        value: median(again),
        unit: 's',
        target: { atMost: 6 },
        from: list(again),
      },
    ],
    details: [
      {
        title: 'Memory when ready (MiB resident, shared pages once)',
        head: ['all', ...names],
        rows: [[sum(names.map(mebibytes)), ...names.map(mebibytes)]],
      },
    ],
  };
}
