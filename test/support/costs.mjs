/**
 * What each test file costs, as measured: seconds that it takes beside others, and how many processors it keeps busy meanwhile, with
 * the processes that it starts. By these the files are ordered (sequencer.mjs), and so many let run at once as the machine has
 * processors for (environment.mjs). `RECORD_COSTS=1 npm test` measures anew.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const COSTS = fileURLToPath(new URL('costs.json', import.meta.url));
/** Lines of a run that measures, until it ends. */
const RECORD = `${COSTS}l`;
/** Of a file that nobody has measured yet. */
const UNKNOWN = { seconds: 10, processors: 0.5 };
/** A clock tick of /proc. */
const TICK_S = 0.01;

export const isRecording = process.env['RECORD_COSTS'] === '1';

const nameOf = (path) =>
  relative(ROOT, path)
    .replaceAll('\\', '/')
    .replace(/\.test\.ts$/, '');
/** @type {Record<string, [seconds: number, processors: number]>} */
const known = existsSync(COSTS) ? JSON.parse(readFileSync(COSTS, 'utf8')) : {};

/** @returns {{ seconds: number, processors: number }} */
export function costOf(path) {
  const [seconds, processors] = known[nameOf(path)] ?? [];
  return seconds === undefined ? UNKNOWN : { seconds, processors };
}

/** To be called when a file begins. @returns what is to be called when it has ended */
export function measure(path) {
  const [from, used] = [performance.now(), usedSeconds()];
  return () => {
    const [seconds, busy] = [(performance.now() - from) / 1_000, usedSeconds() - used];
    appendFileSync(RECORD, `${JSON.stringify([nameOf(path), seconds, busy / seconds])}\n`);
  };
}

/** Puts what a run has measured into the table; what it did not run stays as it is. */
export function keepRecord() {
  if (!existsSync(RECORD)) return;
  const rounded = (n, digits) => Number(n.toFixed(digits));
  for (const line of readFileSync(RECORD, 'utf8').trim().split('\n')) {
    const [name, seconds, processors] = JSON.parse(line);
    if (existsSync(`${ROOT}${name}.test.ts`)) known[name] = [rounded(seconds, 0), rounded(processors, 2)];
  }
  const there = Object.keys(known).filter((name) => existsSync(`${ROOT}${name}.test.ts`));
  const lines = there.toSorted().map((name) => `  ${JSON.stringify(name)}: [${known[name].join(', ')}]`);
  writeFileSync(COSTS, `{\n${lines.join(',\n')}\n}\n`);
  rmSync(RECORD);
}

/** Of this process and of its children that have ended. What their children have used counts once those were waited for. */
function usedSeconds() {
  const { user, system } = process.cpuUsage();
  const own = (user + system) / 1e6;
  if (!existsSync('/proc/self/stat')) return own;
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return own + (Number(fields[13]) + Number(fields[14])) * TICK_S;
}
