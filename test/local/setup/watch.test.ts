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

/** What has been told, once per time that it was. `hold` keeps the one who is told busy until `go`. */
function watching() {
  const told: string[][] = [];
  let go = () => {};
  let held = Promise.resolve();
  const onChange = async (files: string[]) => {
    told.push(files);
    await held;
  };
  stops.push(watchSources({ root, folders: ['api', 'prisma'], onChange }));
  const hold = () => {
    held = new Promise((resolve) => {
      go = resolve;
    });
  };
  return { told, hold, go: () => go() };
}

test('what is saved within a moment is told at once, each file once, wherever it is', async () => {
  const { told } = watching();
  for (const path of ['api/inner/b.ts', 'api/a.ts', 'api/a.ts', 'prisma/schema.prisma']) save(path);
  expect(await eventually('it is told', () => told[0])).toEqual(['api/a.ts', 'api/inner/b.ts', 'prisma/schema.prisma']);
});

test('what is saved while the last change is worked on is told after it', async () => {
  const { told, hold, go } = watching();
  hold();
  save('api/a.ts');
  await eventually('it is told', () => told.length === 1);
  const idle = watching();
  save('api/b.ts');
  await eventually('who is not busy is told', () => idle.told.flat().includes('api/b.ts'));
  expect(told).toHaveLength(1);
  save('api/c.ts');
  go();
  await eventually('all is told', () => told.flat().includes('api/c.ts'));
  expect(told.slice(1).flat()).toEqual(['api/b.ts', 'api/c.ts']);
});

test('what the build itself makes is not told', async () => {
  const { told } = watching();
  save('prisma/generated/client.ts');
  save('prisma/seed.ts');
  expect(await eventually('it is told', () => told[0])).toEqual(['prisma/seed.ts']);
});
