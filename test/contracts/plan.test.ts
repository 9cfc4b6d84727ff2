/** What the plan forbids does not compile, or does not start: each case is one change to a plan that does. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { definePlan, PLAN, type PlannedStep } from '../../contracts/plan.js';

const ROOT = process.cwd();
const PREFACE = `
import { definePlan, PLAN, type StepNamesOf } from '${join(ROOT, 'contracts', 'plan.js')}';
const reserve = {
  name: 'reserve', since: 1, undo: 'unreserve', refusals: ['OUT_OF_STOCK'],
  holds: { table: 'reservations', column: 'state', held: ['RESERVED'] },
  events: { done: 'inventory.reserved', refused: 'inventory.reservation.failed', undone: 'inventory.released' },
} as const;
const charge = { ...reserve, name: 'charge', undo: 'uncharge', sharesPivot: true } as const;
const ship = {
  name: 'ship', since: 2, undo: 'unship', refusals: [],
  holds: { table: 'shipments', column: 'state', held: ['SCHEDULED'] },
  events: { done: 'inventory.reserved', undone: 'inventory.released' },
} as const;
export const { undo: _undo, ...withoutUndo } = ship;
export const { holds: _holds, ...withoutHolding } = ship;
export const { refusals: _refusals, ...neverRefused } = ship;
export { charge, reserve };
`;
const plan = (before: string, after = '') =>
  `export const it = definePlan({ ...PLAN, beforePivot: [${before}], afterPivot: [${after}] });\n`;
const listed = (...names: string[]) => `export const names: StepNamesOf<typeof it> = ${JSON.stringify(names)};\n`;

const TAKEN = {
  'a step with its undo, on either side of the pivot':
    plan('reserve, ship, charge', `{ ...neverRefused, name: 'post', undo: 'unpost' }`) +
    listed('reserve', 'ship', 'charge', 'confirmOrder', 'post'),
  'a step without an undo that says why': plan(
    `reserve, { name: 'note', since: 2, undo: { none: 'it leaves nothing' }, events: { done: 'inventory.reserved' }, refusals: [] }, charge`,
  ),
};
const FORBIDDEN = {
  'a step without a word about its undo': plan('reserve, withoutUndo, charge'),
  'a step with reasons of its own to refuse, and no event that says so': plan(
    `reserve, { ...ship, refusals: ['OUT_OF_STOCK'] }, charge`,
  ),
  'an undo of nothing in particular': plan('reserve, withoutHolding, charge'),
  'a step between the charge and the confirmation, which may be one transaction': plan('reserve, charge, ship'),
  'a second step that shares the pivot': plan(`{ ...charge, name: 'first', undo: 'unfirst' }, reserve, charge`),
  'a step after the pivot that refuses': plan('reserve, charge', `{ ...reserve, name: 'ship', undo: 'unship' }`),
  'a workflow that leaves a step out': plan('reserve, ship, charge') + listed('reserve', 'charge', 'confirmOrder'),
  'a workflow with another order': plan('reserve, ship, charge') + listed('ship', 'reserve', 'charge', 'confirmOrder'),
};

/** Everything is compiled at once, each case a file of its own. @returns what is said of each, by its place */
async function compile(sources: string[]): Promise<string[][]> {
  const folder = await mkdtemp(join(tmpdir(), 'order-saga-plans-'));
  try {
    const files = sources.map((_, i) => join(folder, `case-${i}.mts`));
    await Promise.all(files.map((file, i) => writeFile(file, `${PREFACE}${sources[i]}`)));
    const config = {
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: { noEmit: true, typeRoots: [join(ROOT, 'node_modules', '@types')] },
      include: [],
      files,
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const { stdout } = spawnSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder, '--pretty', 'false'],
      {
        encoding: 'utf8',
      },
    );
    return files.map((_, i) => stdout.split('\n').filter((line) => line.includes(`case-${i}.mts(`)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('the compiler', () => {
  let said: string[][];
  const sources = [...Object.values(TAKEN), ...Object.values(FORBIDDEN)];
  beforeAll(async () => {
    said = await compile(sources);
  });

  test.each(Object.entries(TAKEN))('takes %s', (_, source) => {
    expect(said[sources.indexOf(source)]).toEqual([]);
  });

  test.each(Object.entries(FORBIDDEN))('does not take %s', (_, source) => {
    const complaints = said[sources.indexOf(source)] ?? [];
    expect(complaints.filter((line) => /error TS2[0-9]{3}/.test(line)).length).toBeGreaterThan(0);
  });
});

describe('a plan does not start', () => {
  const [first] = PLAN.beforePivot;
  const started = (step: Partial<PlannedStep>) => () =>
    definePlan({
      ...PLAN,
      beforePivot: [
        { ...first, name: 'ship', undo: 'unship', refusals: [], ...step } as unknown as typeof first,
        ...PLAN.beforePivot,
      ],
    });

  test.each([
    ['with one name for two activities', { name: 'chargePayment' }, /names chargePayment twice/],
    ['with one undo for two steps', { undo: 'releaseInventory' }, /names releaseInventory twice/],
    [
      'with one reason to refuse for two steps',
      { refusals: ['OUT_OF_STOCK'] },
      /Two steps .* refuse with OUT_OF_STOCK/,
    ],
    ['without the version that brought a step', { since: 0 }, /ship has no version/],
    ['with a table that is none', { holds: { table: 'x; DROP', column: 'state', held: [] } }, /ship holds no rows/],
  ])('%s', (_, step, message) => {
    expect(started(step as Partial<PlannedStep>)).toThrow(message);
  });
});
