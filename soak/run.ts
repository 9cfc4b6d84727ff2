/** One run: plan, installation, clients beside faults, quiescence, verification, result. A failure leaves a folder of evidence. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeRun } from './machine.js';
import { keepEvidence } from './evidence.js';
import { createNemesis, type Nemesis } from './nemesis/nemesis.js';
import { openOperationLog, type OperationLog } from './operation-log.js';
import { commandOf, type Plan, planOf, type Size } from './plan/plan.js';
import { quiesce } from './quiesce.js';
import { type Held, isRight, type Result, tally, tallyCalls } from './result.js';
import { startSampler } from './sampler.js';
import { readOperationFacts } from './verify/facts.js';
import { holdInvariants } from './verify/invariants.js';
import { holdOperations } from './verify/operations.js';
import { createWorkload, stockUp } from './workload/clients.js';
import { type Installation, startInstallation } from './world/installation.js';
import { startWait } from './world/patience.js';

export type RunOptions = Size & {
  /** Where plan, logs and result go. */
  folder: string;
  say: (text: string) => void;
  /** How to end all that was started; filled as it starts, for whoever is interrupted. */
  stops: (() => Promise<unknown>)[];
};

/** Clients wait while so many faults are under way: orders come between faults, not after them. */
const FAULTS_AT_ONCE = 6;
const PROGRESS_EVERY_MS = 5_000;
/** Refunds that failed late are made again by then, and what cannot be is reported. */
const RIGHT_WITHIN_MS = 60_000;
const RIGHT_CAP_MS = 900_000;

export async function soak(options: RunOptions): Promise<Result> {
  const { folder, say, stops, ...size } = options;
  mkdirSync(folder, { recursive: true });
  const plan = planOf(size);
  writeFileSync(join(folder, 'plan.json'), JSON.stringify({ command: commandOf(size), ...plan }, undefined, 1));
  const log = openOperationLog(join(folder, 'operations.jsonl'));
  const from = performance.now();
  const around = await startInstallation(folder, stops);
  try {
    say(`${commandOf(size)}: ready after ${((performance.now() - from) / 1000).toFixed(0)} s`);
    const result = await harmAndVerify(plan, around, log, say);
    writeFileSync(join(folder, 'result.json'), JSON.stringify(result, undefined, 1));
    if (!isRight(result)) await keepEvidence(around);
    return result;
  } finally {
    await around.stop();
  }
}

async function harmAndVerify(
  plan: Plan,
  around: Installation,
  log: OperationLog,
  say: RunOptions['say'],
): Promise<Result> {
  const from = performance.now();
  await stockUp(around.direct.api, plan.operations.filter(({ kind }) => kind === 'order').length);
  const workload = createWorkload(around.apis, log);
  const nemesis = createNemesis(around, plan.schedule, log);
  const sampler = startSampler(around);
  const stopSaying = sayProgress(plan, nemesis, log, say);
  await workload.run(plan.operations, async (began) => {
    nemesis.at(began);
    while (nemesis.underWay() > FAULTS_AT_ONCE) await sleep(50);
  });
  await nemesis.finish();
  stopSaying();
  say('all faults are over; waiting for everything to end');
  const quiescence = await quiesce(around, workload, log);
  await sampler.stop();
  say(`quiet after ${quiescence.seconds.toFixed(0)} s; verifying`);
  const held = [...(await rightInTheEnd(around, log)), ...sampler.held()];
  const failed = nemesis.results().filter(({ became }) => became === 'failed');
  return {
    ...describeRun(),
    seed: plan.seed,
    slice: plan.slice,
    faultsPlanned: plan.schedule.length,
    ordersPlanned: plan.operations.filter(({ kind }) => kind === 'order').length,
    size: { orders: plan.orders, faults: plan.faults },
    seconds: Math.round((performance.now() - from) / 1000),
    quiesceSeconds: Math.round(quiescence.seconds),
    ...(await countEnds(around)),
    operations: tallyCalls(log.calls()),
    faults: tally(
      nemesis.results(),
      ({ kind, target }) => `${kind} ${target}`,
      ({ became }) => became,
    ),
    decided: quiescence.decided,
    replayed: quiescence.replayed,
    held,
    violations: [
      ...quiescence.violations,
      ...around.surprises,
      ...unseen(plan, held),
      ...failed.map(
        ({ kind, target, why }) => `the fault ${kind} ${target} could not be carried out or healed: ${why}`,
      ),
    ],
  };
}

/** From so many orders on, each check has something to look at; one that has not has proved nothing. */
const ALL_ARE_SEEN_FROM_ORDERS = 1_000;
const unseen = ({ operations }: Plan, held: Held[]): string[] =>
  operations.filter(({ kind }) => kind === 'order').length < ALL_ARE_SEEN_FROM_ORDERS
    ? []
    : held.filter(({ checked }) => checked === 0).map(({ invariant }) => `nothing to look at for: ${invariant}`);

async function countEnds({ pool }: Installation): Promise<Pick<Result, 'orders' | 'reasons'>> {
  const { rows } = await pool.query<{ status: string; reason: string | null; count: number }>(
    'SELECT status, unwinding_reason AS reason, count(*)::int AS count FROM orders GROUP BY status, reason',
  );
  const sum = (of: typeof rows) => of.reduce((total, { count }) => total + count, 0);
  const withStatus = (status: string) => sum(rows.filter((row) => row.status === status));
  return {
    orders: { accepted: sum(rows), confirmed: withStatus('CONFIRMED'), cancelled: withStatus('CANCELLED') },
    reasons: Object.fromEntries(rows.flatMap(({ reason, count }) => (reason === null ? [] : [[reason, count]]))),
  };
}

/** Reconciliation and late refunds are in time, too: what is wrong still when nothing has been mended for a while is wrong. */
export async function rightInTheEnd(around: Installation, log: OperationLog): Promise<Held[]> {
  const wait = startWait(RIGHT_WITHIN_MS, RIGHT_CAP_MS);
  for (let fewest = Number.POSITIVE_INFINITY; ; ) {
    const ledgers = (await holdInvariants(around)).map(({ violations, ...rest }) => ({
      ...rest,
      violations: violations.map(({ says }) => says),
    }));
    const operations = holdOperations({ calls: log.calls(), facts: await readOperationFacts(around.pool) });
    const held: Held[] = [...ledgers, ...operations];
    const wrong = held.reduce((sum, { violations }) => sum + violations.length, 0);
    if (wrong < fewest) wait.moved();
    fewest = Math.min(fewest, wrong);
    if (wrong === 0 || wait.over() !== undefined) return held;
    await sleep(2_000);
  }
}

function sayProgress(plan: Plan, nemesis: Nemesis, log: OperationLog, say: RunOptions['say']): () => void {
  const timer = setInterval(() => {
    const { order = {}, ...others } = tallyCalls(log.calls());
    const rest = Object.values(others)
      .flatMap(Object.values)
      .reduce((sum, n) => sum + n, 0);
    const faults = nemesis.results().length;
    say(
      `${order['ok'] ?? 0} orders acknowledged, ${order['refused'] ?? 0} refused, ${order['unknown'] ?? 0} unanswered; ` +
        `${rest} other calls; ${faults} of ${plan.schedule.length} faults, ${nemesis.underWay()} under way`,
    );
  }, PROGRESS_EVERY_MS);
  return () => clearInterval(timer);
}
