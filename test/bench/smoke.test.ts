/** The bench is run by hand, on quiet machines; this is how it is noticed that it would not. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const RESULTS = 'bench/RESULTS.md';
const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux(
  '`npm run bench -- --quick` measures, prints its table, and leaves the published results alone',
  async () => {
    const read = () => (existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8') : undefined);
    const published = read();
    const { code, output } = await runBench('--quick', '--only', 'hot-sku');
    expect({ code, output }).toEqual({
      code: 0,
      output: expect.stringMatching(/one SKU in every order.*÷ with spread SKUs.*\d\.\d\d.*≥ 0\.5/),
    });
    expect(read()).toBe(published);
  },
  180_000,
);

onLinux('a scenario that does not exist is refused by name', async () => {
  const { code, output } = await runBench('--only', 'nonsense');
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('no scenario "nonsense"') });
});

async function runBench(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['dist/bench/main.js', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, output };
}
