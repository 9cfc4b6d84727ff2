/**
 * The previous release: what runs beside this code while it is deployed, and what it is taken back to. The newest tag `v…` that this
 * commit contains; until there is one, a commit that stands for it.
 */
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Nothing has been released yet. Two migrations came after it, among them a version of what is sent to charge an order. */
const BEFORE_THE_FIRST = '4cfb7056180678aa07a56bc0570370e408b06895';

/** @returns {string | undefined} undefined if git says no */
export function git(...args) {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return status === 0 ? stdout.trim() : undefined;
}

/** @returns {{ name: string, commit: string } | { missing: string }} */
export function previousRelease() {
  const tag = git('tag', '--list', 'v*', '--merged', 'HEAD', '--sort=-version:refname')?.split('\n')[0];
  const name = tag || BEFORE_THE_FIRST.slice(0, 7);
  const commit = git('rev-parse', '--verify', '--quiet', `${tag || BEFORE_THE_FIRST}^{commit}`);
  if (commit !== undefined) return { name, commit };
  return { missing: `The previous release (${name}) is not in this clone: fetch it with its tags (fetch-depth: 0).` };
}

/** @returns {string[]} the files of that commit's code that have this name as a word */
export const usesOf = (commit, word) =>
  (git('grep', '-l', '-w', '-F', '-e', word, commit, '--', '*.ts', 'prisma/schema.prisma') ?? '')
    .split('\n')
    .map((line) => line.slice(line.indexOf(':') + 1))
    .filter((path) => path !== '' && !/^(test|simulation|soak|bench)\//.test(path));
