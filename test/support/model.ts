/** `npm run model` as a test runs it. */
import { spawnSync } from 'node:child_process';
import { test } from '@jest/globals';

const UNAVAILABLE = 69;
const isThere = spawnSync('java', ['-version']).status === 0;
const isRequired = process.env['REQUIRE_MODEL'] === '1';

/** A test that is skipped by name where there is no Java, unless it is required. */
export const ifModelled = isThere || isRequired ? test : test.skip;

type Answer = { status: number | null; wrong: string[]; said: string };

/** @returns what it said; undefined where Alloy's jar is missing and cannot be fetched, and need not be */
export function runModel(...args: string[]): Answer | undefined {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['model/run.mjs', ...args], { encoding: 'utf8' });
  const said = `${stdout}${stderr}`;
  const wrong = stdout.split('\n').filter((line) => /^(✗| {2})/.test(line));
  if (status === UNAVAILABLE && !isRequired) {
    process.stderr.write(stderr);
    return undefined;
  }
  return { status, wrong, said };
}
