/** What figures depend on: the commit, and the machine with what else it had to do. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { CHECKOUT } from '../local/checkout.js';

export function describeRun(): { at: string; commit: string; machine: string } {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: CHECKOUT, encoding: 'utf8' }).trim();
  const commit = `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}`;
  const load = loadavg()[1]?.toFixed(1);
  return {
    at: new Date().toISOString().slice(0, 16),
    commit,
    machine: `${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, load ${load}`,
  };
}
