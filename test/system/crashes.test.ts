/**
 * Every crash point of every step, met by a real worker process: it is frozen past its timeout and continued when another
 * has finished its order; it is killed; it fails; it loses its database. All cells run in one world at once; then each has a
 * test of its own: its crash point was met, and its order's money and events are right. A cell that was not met fails.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pLimit from 'p-limit';
import type { StoredOrder } from '../../contracts/orders.js';
import { PIVOT, PLAN, STEPS, type StepName, stepsOf, type UndoName, UNDOS } from '../../contracts/plan.js';
import { sagaStart, type UnstartedSaga } from '../../contracts/saga.js';
import { readOrder, requestCancellation } from '../../domain/orders.js';
import type { Action } from '../../runtime/failpoints.js';
import { CRASH_POINTS } from '../../workers/crash-points.js';
import { expectRight } from '../support/invariants.js';
import type { Ledgers } from '../../verification/ledgers.js';
import { readCharges, readFacts, readSagas } from '../support/ledgers.js';
import { eventually } from '../support/conditions.js';
import { type WorkerFleet, isFrozen, startFleet } from '../support/worker-fleet.js';
import { accept, stock } from '../support/database.js';
import { PATIENT } from '../support/saga.js';

const FULL = process.env['FULL'] === '1';
/** Each is two processes, whose starts cost more than all their orders. A cell that freezes or kills has a namespace for itself, for some 6 s. */
const NAMESPACES = 5;

/** All of it takes a minute on two idle cores; on busy ones, the cells' own limits say what is too slow. */
const ALL_LIMIT_MS = 600_000;

type Name = StepName | UndoName;
const isUndo = ({ step }: { step: Name }) => UNDOS.some((undo) => undo === step);

/** The first try of the step that shares the pivot confirms the order, too. */
const sharing = stepsOf(PLAN).find(({ sharesPivot }) => sharesPivot)?.name as StepName;
const afterPivot: readonly { name: string }[] = PLAN.afterPivot;
const isPastThePivot = ({ step, moment }: { step: Name; moment: string }) =>
  afterPivot.some(({ name }) => name === step) || ((step === sharing || step === PIVOT) && moment === 'before-report');

/**
 * `meanwhile`: the customer cancels while the worker sleeps, so that it wakes up in a step whose order is over; past the
 * pivot, it is the second saga that cancels the order, beside the first that runs its last step again.
 */
type Cell = { step: Name; moment: string; action: Action; meanwhile?: 'cancelled' };
const nameOf = ({ step, moment, action, meanwhile }: Cell) =>
  `${action}, ${step} ${moment}${meanwhile ? ', the order being cancelled meanwhile' : ''}`;

const everywhere = [...STEPS, ...UNDOS].flatMap((step) => CRASH_POINTS[step].map((moment) => ({ step, moment })));
/** A killed process costs a new one, a second of a core: unless in full, each step kills where it leaves most behind. */
const leavesMost = ({ step, moment }: { step: Name; moment: string }) =>
  moment === (CRASH_POINTS[step].includes('after-gateway') ? 'after-gateway' : 'before-commit');

const cells: Cell[] = [
  ...(['stop', 'throw', 'drop'] as const).flatMap((action) => everywhere.map((at) => ({ ...at, action }))),
  ...everywhere.filter((at) => FULL || leavesMost(at)).map((at) => ({ ...at, action: 'exit' as const })),
  ...everywhere
    .filter(({ moment }) => moment.startsWith('before-commit'))
    .map((at) => ({ ...at, action: 'lose' as const })),
  ...everywhere
    .filter((at) => !isUndo(at))
    .map((at) => ({ ...at, action: 'stop' as const, meanwhile: 'cancelled' as const })),
];

type Outcome = { orderId: string; slept: boolean; result: unknown };
const outcomes = new Map<Cell, Outcome | Error>();
let late: Error | undefined | 'not tried' = 'not tried';

let fleet: WorkerFleet;
let ledgers: Ledgers;
beforeAll(async () => {
  fleet = await startFleet(NAMESPACES);
  await stock(fleet.db, 'A', 1_000);
  await stock(fleet.db, 'B', 1_000);
  const newOrder = () => accept(fleet.db, { A: 2, B: 1 });
  const staged: { cell: Cell; order: StoredOrder }[] = [];
  for (const cell of cells) staged.push({ cell, order: await newOrder() }); // one after the other, before the load
  const lateOrder = await newOrder();
  const runAndRecord = async ({ cell, order }: (typeof staged)[number], namespace: number) => {
    outcomes.set(cell, await runCell(cell, order, namespace).catch((err: unknown) => err as Error));
  };
  const isAlone = ({ cell: { action } }: (typeof staged)[number]) => action === 'stop' || action === 'exit';
  const few = pLimit(16);
  await Promise.all(
    staged.filter((one) => !isAlone(one)).map((one, i) => few(() => runAndRecord(one, i % NAMESPACES))),
  );
  const queue = staged.filter(isAlone).map((one) => (namespace: number) => runAndRecord(one, namespace));
  queue.push(async (namespace) => {
    late = await chargeLate(lateOrder, namespace).then(
      () => undefined,
      (err: Error) => err,
    );
  });
  await Promise.all(
    fleet.clients.map(async (_, namespace) => {
      for (let next = queue.shift(); next; next = queue.shift()) await next(namespace);
    }),
  );
  ledgers = await eventually('the ledgers can be read', readLedgers);
}, ALL_LIMIT_MS);
afterAll(() => fleet?.stop(), 30_000);

async function runCell(
  { step, moment, action, meanwhile }: Cell,
  order: StoredOrder,
  namespace: number,
): Promise<Outcome> {
  const at = `${step}.${moment}`;
  let saga: UnstartedSaga = { ...order, kind: 'order' };
  if (isUndo({ step })) {
    await begin(saga, namespace).then((first) => first.result());
    await cancel(order.id);
    saga = { ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' };
  }
  // What had trouble goes on step by step: only then is the confirmation a step of its own.
  if (step === PIVOT) fleet.plan(order.id, `${sharing}.before-call`, 'throw');
  fleet.plan(order.id, at, action);
  const running = await begin(saga, namespace);
  const pid = await fleet.met(order.id, at);
  const slept = action === 'stop' && (await eventually('it is frozen', () => isFrozen(pid)));
  if (meanwhile) await cancel(order.id);
  const second =
    meanwhile && isPastThePivot({ step, moment })
      ? await begin({ ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' }, namespace)
      : undefined;
  const first: unknown = await running.result();
  const result: unknown = second ? await second.result() : first;
  if (slept) {
    await fleet.wake(pid);
    await fleet.over(order.id, at);
  }
  return { orderId: order.id, slept, result };
}

/** How long the request of a charge is under way: longer than its saga takes to give up and unwind. */
const LATE_MS = 25_000;

/** The worst hour for a charge: it lands when its order is long cancelled, and no saga waits for it any more. */
async function chargeLate(order: StoredOrder, namespace: number): Promise<void> {
  const { id: orderId } = order;
  const fault = { mode: 'slow', route: 'charge', orderId, count: 1, delayMs: LATE_MS };
  const answer = await fetch(`${fleet.sandboxUrl}/sandbox/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fault),
  });
  if (!answer.ok) throw new Error(await answer.text());
  const running = await begin({ ...order, kind: 'order' }, namespace);
  await eventually('its charge is tried', async () => fleet.db.chargeAttempt.findFirst({ where: { orderId } }));
  await cancel(orderId);
  await running.result();
  const charges = async () => (await readCharges(fleet.sandboxUrl)).filter((charge) => charge.orderId === orderId);
  expect(await charges()).toEqual([]);
  await eventually('the money has been taken', async () => (await charges()).length > 0, 60_000);
  await eventually('and given back', async () => (await charges()).every((c) => c.holds === 0), 60_000);
}

async function begin(saga: UnstartedSaga, namespace: number) {
  const { type, options } = sagaStart(saga, PATIENT);
  const client = fleet.clients[namespace];
  if (!client) throw new Error(`there is no namespace ${namespace}`);
  return client.workflow.start(type, options);
}

/** Asked again, because a process that is frozen in the order's transaction holds its row until Postgres ends that transaction. */
const cancel = (orderId: string) =>
  eventually('the order is to be cancelled', () =>
    requestCancellation(fleet.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' }),
  );

async function readLedgers(): Promise<Ledgers | false> {
  const sagas = (await Promise.all(fleet.clients.map(readSagas))).flat();
  if (sagas.some(({ status }) => status === 'RUNNING')) return false; // visibility trails
  const facts = await readFacts((sql) => fleet.db.$queryRawUnsafe(sql));
  return { ...facts, charges: await readCharges(fleet.sandboxUrl), sagas };
}

describe('a worker in trouble leaves its order right:', () => {
  test.each(cells.map((cell) => [nameOf(cell), cell] as const))('%s', async (_, cell) => {
    const outcome = outcomes.get(cell);
    if (!outcome || outcome instanceof Error) throw outcome ?? new Error('the cell did not run');
    const { orderId, result, slept } = outcome;
    const status = isUndo(cell) || cell.meanwhile ? 'CANCELLED' : 'CONFIRMED';
    expect(slept).toBe(cell.action === 'stop');
    expect(result).toMatchObject({ status });
    const order = await readOrder(fleet.db, orderId);
    expect(order?.status).toBe(status);
    const charges = (ledgers.charges ?? []).filter((charge) => charge.orderId === orderId);
    const net = charges.reduce((sum, { received, refunded }) => sum + received - refunded, 0);
    expect(net).toBe(status === 'CONFIRMED' ? order?.total.amount : 0);
    expect(charges.length).toBeLessThanOrEqual(1);
  });

  test('a charge that lands after the cancellation, when no saga waits for it any more, is given back', () => {
    expect(late).toBeUndefined();
  });

  test('and all ledgers together are right', () => {
    expect(ledgers.orders).toHaveLength(cells.length + 1);
    expectRight(ledgers);
  });
});
