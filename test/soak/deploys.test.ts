/** Deploys with sagas in flight, small: `npm run deploys` has a thousand, and releases that are refused and taken back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type DeploysResult, runDeploys } from '../../soak/deploys/run.js';
import { isRight } from '../../soak/result.js';

const LIMIT_MS = 600_000;
const SIZE = { sagas: 60, perSecond: 6, pace: { steps: '40,100', hold: '1s', sagas: '3', quietMs: 500 } };

// Two minutes and a half beside others, of a suite that has thirty.
if (process.env['FULL'] !== '1') process.stderr.write('Skipped: deploys under load run with FULL=1 only\n');
(process.env['FULL'] === '1' ? describe : describe.skip)('deploys under load', () => {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-deploys-'));
  const stops: (() => Promise<unknown>)[] = [];
  let result: DeploysResult;
  beforeAll(async () => {
    result = await runDeploys({ ...SIZE, withBadReleases: false, folder, say: () => undefined, stops });
  }, LIMIT_MS);
  afterAll(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
    if (result && isRight(result)) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  test('a release goes out and is gone back from, and each process is restarted: every order has its answer at the second try at the latest', () => {
    expect(result.violations).toEqual([]);
    expect(result.held.filter(({ violations }) => violations.length > 0)).toEqual([]);
    expect(result.acts.reduce((sum, { orders }) => sum + orders, 0)).toBeGreaterThan(SIZE.sagas + 20);
  });

  test('no activity timed out, no saga’s code failed, and each saga ended on the build that it began on', () => {
    const { activityTimeouts, taskFailures, moved, sagas } = result.histories;
    expect({ activityTimeouts, taskFailures, moved }).toEqual({ activityTimeouts: {}, taskFailures: {}, moved: [] });
    expect(sagas).toBeGreaterThan(SIZE.sagas);
  });

  test('sagas were in flight all the while, and new ones began on both builds while one went out, and on the build of before afterwards', () => {
    const named = (name: string) => result.acts.find((act) => act.name === name);
    expect(named('restart of relay')?.inFlight.running).toBeGreaterThan(SIZE.sagas / 4);
    expect(Object.keys(named('N+1 goes out')?.begunOn ?? {}).sort()).toEqual(['N', 'N+1']);
    // Also by the process that has every role: it begins none of its own on its own build.
    const { N: late = 0, 'N+1': begun = 0 } = named('half of the crowd goes on')?.begunOn ?? {};
    expect(begun).toBeGreaterThan(4 * late);
    expect(Object.keys(named('restart of api')?.begunOn ?? {})).toEqual(['N']);
  });
});
