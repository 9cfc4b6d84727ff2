import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { watchSources } from '../../../local/setup/watch.js';
import { eventually } from '../../support/conditions.js';

let root: string;
const stops: (() => void)[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'order-saga-watch-'));
  for (const folder of ['api/inner', 'prisma/generated']) mkdirSync(join(root, folder), { recursive: true });
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  rmSync(root, { recursive: true });
});

const save = (path: string) => writeFileSync(join(root, path), 'x');

/** The changes that were reported, call by call. `hold` keeps the listener busy until `go`. */
function watching() {
  const reported: string[][] = [];
  let go = () => {};
  let held = Promise.resolve();
  const onChange = async (files: string[]) => {
    reported.push(files);
    await held;
  };
  stops.push(watchSources({ root, folders: ['api', 'prisma'], onChange }));
  const hold = () => {
    held = new Promise((resolve) => {
      go = resolve;
    });
  };
  return { reported, hold, go: () => go() };
}

test('what is saved within a moment is reported at once, each file once, wherever it is', async () => {
  const { reported } = watching();
  for (const path of ['api/inner/b.ts', 'api/a.ts', 'api/a.ts', 'prisma/schema.prisma']) save(path);
  expect(await eventually('it is reported', () => reported[0])).toEqual([
    'api/a.ts',
    'api/inner/b.ts',
    'prisma/schema.prisma',
  ]);
});

test('what is saved while the last change is worked on is reported after it', async () => {
  const { reported, hold, go } = watching();
  hold();
  save('api/a.ts');
  await eventually('it is reported', () => reported.length === 1);
  const idle = watching();
  save('api/b.ts');
  await eventually('a listener that is not busy gets it', () => idle.reported.flat().includes('api/b.ts'));
  expect(reported).toHaveLength(1);
  save('api/c.ts');
  go();
  await eventually('all is reported', () => reported.flat().includes('api/c.ts'));
  expect(reported.slice(1).flat()).toEqual(['api/b.ts', 'api/c.ts']);
});

test('what the build itself makes is not reported', async () => {
  const { reported } = watching();
  save('prisma/generated/client.ts');
  save('prisma/seed.ts');
  expect(await eventually('it is reported', () => reported[0])).toEqual(['prisma/seed.ts']);
});
