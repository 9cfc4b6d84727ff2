/** The bench is run by hand, on quiet machines; this is how it is noticed that it would not. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const RESULTS = 'bench/RESULTS.md';
const onLinux = process.platform === 'linux' ? test : test.skip;

/** A minute; two products and their warming up take two: in full runs only. */
const inFull = process.env['FULL'] === '1' ? onLinux : test.skip;

inFull(
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

inFull(
  '`npm run bench -- --only waiting --base …` measures two versions in turns, and says how the one stands to the other',
  async () => {
    const { code, output } = await runBench('--quick', '--only', 'waiting', '--base', '.');
    expect({ code, output }).toEqual({
      code: 0,
      output: expect.stringMatching(/CPU per order of 16 waiting clients, all processes ÷ the base.s.*≤ 0\.7/),
    });
    expect(output).toMatch(/POST→201 p50 beside 16 waiting clients ÷ the base.s.*≤ 0\.5/);
    expect(output).toMatch(/16 waiting clients: base +│ +[\d.]+ \[/);
  },
  300_000,
);

onLinux('a scenario that does not exist is refused by name', async () => {
  const { code, output } = await runBench('--only', 'nonsense');
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('no scenario "nonsense"') });
});

onLinux(
  '`npm run siege` measures what customers notice of an attack, and leaves the published table alone if it is a part',
  async () => {
    const published = readFileSync('bench/SIEGE.md', 'utf8');
    const options = ['--only', 'documents', '--seconds', '1', '--orders', '2'];
    const { code, output } = await run('dist/bench/siege/main.js', ...options);
    expect({ code, output }).toEqual({
      code: 0,
      output: expect.stringMatching(/^\| documents \| \d+ \| .* × 200 \|$/m),
    });
    expect(readFileSync('bench/SIEGE.md', 'utf8')).toBe(published);
  },
  180_000,
);

const runBench = (...args: string[]) => run('dist/bench/main.js', ...args);

async function run(program: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, output };
}
