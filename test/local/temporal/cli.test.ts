import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { findTemporalCli, type Sources } from '../../../local/temporal/cli.js';

const GOOD = 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)';
const OLD = 'temporal version 1.0.0 (Server 1.24.2, UI 2.26.2)';

let folder: string;
let env: NodeJS.ProcessEnv;
let cached: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'order-saga-cli-'));
  env = { PATH: join(folder, 'bin'), XDG_CACHE_HOME: join(folder, 'cache') };
  cached = join(folder, 'cache', 'order-saga', 'temporal', 'temporal-v1.5.1');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A program that answers `--version` like the CLI, or like something else. */
function program(path: string, answer = GOOD, status = 0): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\necho '${answer}'\nexit ${status}\n`);
  chmodSync(path, 0o755);
  return path;
}

const works = jest.fn(async (target: string) => void program(target));
const fails = (why: string) => async (): Promise<void> => {
  throw new Error(why);
};
const none: Sources = { download: fails('the network is down'), build: fails('there is no `go` on the PATH') };

describe('the Temporal CLI is looked for', () => {
  test('where TEMPORAL_CLI_PATH says, even if there are others', async () => {
    program(join(folder, 'bin', 'temporal'));
    const chosen = program(join(folder, 'chosen'));
    await expect(findTemporalCli({ ...env, TEMPORAL_CLI_PATH: chosen }, none)).resolves.toBe(chosen);
  });

  test('nowhere else if what TEMPORAL_CLI_PATH names cannot be used', async () => {
    program(join(folder, 'bin', 'temporal'));
    const missing = join(folder, 'missing');
    await expect(findTemporalCli({ ...env, TEMPORAL_CLI_PATH: missing }, none)).rejects.toThrow(
      `TEMPORAL_CLI_PATH=${missing} cannot be used: there is no such file.`,
    );
  });

  test('on the PATH before the cache', async () => {
    program(cached);
    const installed = program(join(folder, 'bin', 'temporal'));
    await expect(findTemporalCli(env, none)).resolves.toBe(installed);
  });

  test.each([
    ['is too old', OLD, 0],
    ['is another program of that name', 'temporal logic prover 3', 0],
    ['does not run', GOOD, 1],
  ])('in the cache if the one on the PATH %s', async (_why, answer, status) => {
    program(join(folder, 'bin', 'temporal'), answer, status);
    program(cached);
    await expect(findTemporalCli(env, none)).resolves.toBe(cached);
  });

  test('in the cache below HOME where XDG_CACHE_HOME is not set', async () => {
    const below = program(join(folder, '.cache', 'order-saga', 'temporal', 'temporal-v1.5.1'));
    await expect(findTemporalCli({ PATH: '', HOME: folder }, none)).resolves.toBe(below);
  });
});

describe('a CLI that is nowhere', () => {
  test('is downloaded into the cache, once', async () => {
    works.mockClear();
    const sources = { download: works, build: none.build };
    await expect(findTemporalCli(env, sources)).resolves.toBe(cached);
    await expect(findTemporalCli(env, sources)).resolves.toBe(cached);
    expect(works).toHaveBeenCalledTimes(1);
  });

  test('is obtained by one of two that start at the same time; the other one waits for it', async () => {
    works.mockClear();
    const sources = { download: works, build: none.build };
    await expect(Promise.all([findTemporalCli(env, sources), findTemporalCli(env, sources)])).resolves.toEqual([
      cached,
      cached,
    ]);
    expect(works).toHaveBeenCalledTimes(1);
    expect(existsSync(`${cached}.lock`)).toBe(false);
  });

  test('is built if it cannot be downloaded, and if the download is of no use', async () => {
    await expect(findTemporalCli(env, { ...none, build: works })).resolves.toBe(cached);
    rmSync(cached);
    const useless = async (target: string) => void program(target, '<html>proxy says no</html>');
    await expect(findTemporalCli(env, { download: useless, build: works })).resolves.toBe(cached);
  });

  test('ends with everything that was tried, in order, and what would help', async () => {
    program(join(folder, 'bin', 'temporal'), OLD);
    const message = await findTemporalCli(env, none).catch((err: Error) => err.message);
    const expected = [
      '`temporal` on the PATH: its server is 1.24, older than 1.28',
      `the cache, ${cached}: nothing there`,
      'download of the CLI: the network is down',
      'building it (go install): there is no `go` on the PATH',
      'TEMPORAL_CLI_PATH',
      'TEMPORAL_ADDRESS',
    ];
    const positions = expected.map((text) => String(message).indexOf(text));
    expect(positions).not.toContain(-1);
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
  });
});
