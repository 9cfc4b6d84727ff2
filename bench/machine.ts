/** What a figure depends on: the commit that was measured, and the machine. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { CHECKOUT } from '../local/checkout.js';

/** @returns a line about the time and the commit, and one about the machine */
export function describeMachine(): [commit: string, machine: string] {
  return [
    `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, commit ${commitOf(CHECKOUT)}`,
    `${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`,
  ];
}

export function commitOf(checkout: string): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: checkout, encoding: 'utf8' }).trim();
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}`;
}
