/** `rollout`: gives a new build of the saga's code a growing share of new sagas, and takes it back by itself when they fail. */
import { type Command, InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../../runtime/config.js';
import { addSignatureOptions, askBefore, signatureOf, type SignatureOptions } from '../act.js';
import { addJsonOption, type Ops, run, wholeNumber } from '../command.js';
import { EXIT, type ExitCode, OpsError, usage } from '../exit.js';
import { createRecorder } from '../recorder.js';
import { replaySagas } from '../replay-check/command.js';
import { roll, type RolloutPlan, type RolloutReport } from './rollout.js';
import { type Deployment, deploymentOf, type Routing } from './routing.js';

const STEPS_DEFAULT = [10, 50, 100];
/** Closed sagas that are replayed: the last day's, as `replay-check` does by itself. */
const REPLAYED_SINCE_MS = 24 * 3_600_000;

type Options = SignatureOptions & {
  build: string;
  deployment: string;
  bundle?: string;
  against?: string;
  unchecked?: true;
  dryRun?: true;
  now?: true;
  steps: number[];
  hold: number;
  within: number;
  sagas: number;
  failing: number;
};

export function addRolloutCommand(program: Command): void {
  const command = addJsonOption(program.command('rollout'))
    .summary('give a new build of the saga’s code its share of sagas, step by step; it is taken back if they fail')
    .description(
      'For workers with TEMPORAL_WORKER_BUILD_ID: those of the new build run beside those of the current one. First replays the sagas that are there on the new bundle, and refuses it if it cannot go on with them. Then gives the build its share of new sagas, watches them, and makes it current at last. When its sagas fail more often than those of the current build, it gets none any more, and this ends with 1. Sagas that began on a build stay on it: keep its workers until they have ended.',
    )
    .requiredOption('--build <id>', 'TEMPORAL_WORKER_BUILD_ID of the new workers, which must be running')
    .option('--deployment <name>', 'TEMPORAL_DEPLOYMENT_NAME', 'order-saga')
    .option('--bundle <path>', 'dist/workflow-bundle.js of the build, replayed first')
    .option('--against <path>', 'the bundle that runs today: what it cannot replay either does not count')
    .option(
      '--unchecked',
      'without a bundle to replay, or although sagas cannot go on with it: they stay on their build',
    )
    .option('--steps <percents>', 'shares of new sagas, rising', percents, STEPS_DEFAULT)
    .option('--hold <duration>', 'how long each step lasts at least', duration, parseDurationMs('60s'))
    .option(
      '--within <duration>',
      'take it back if a step has not proved itself so long after',
      duration,
      parseDurationMs('15m'),
    )
    .option('--sagas <n>', 'no step is passed before so many sagas of the build have ended', wholeNumber, 10)
    .option('--failing <percent>', 'take it back if more fail than on the current build, by this', percent, 2)
    .option('--now', 'all new sagas at once, neither replayed nor watched: to go back to a build that was well')
    .option('--dry-run', 'only replay, and say what would be done');
  addSignatureOptions(command)
    .addHelpText(
      'after',
      "\nExamples:\n  ops rollout --build 1.8.0 --bundle new/workflow-bundle.js --against dist/workflow-bundle.js --reason 'release 1.8'\n  ops rollout --build 1.7.2 --now --reason 'back to 1.7.2'",
    )
    .action((options: Options) => run(command, (ops) => rollout(ops, options)));
}

async function rollout(ops: Ops, options: Options): Promise<ExitCode> {
  const { out, to, config } = ops;
  const plan: RolloutPlan = {
    build: options.build,
    steps: options.now ? [] : options.steps,
    holdMs: options.hold,
    provedWithinMs: options.within,
    sagasLeast: options.sagas,
    failingPercentMax: options.failing,
  };
  if (options.bundle === undefined && !options.unchecked && !options.now)
    throw usage('--bundle is needed, the new workflow bundle, to see whether sagas can go on with it; or --unchecked.');
  const signature = options.dryRun ? undefined : signatureOf(options, config);
  const { client } = await to.temporal();
  const deployment = deploymentOf(client, options.deployment, `ops rollout ${signature?.operator ?? '--dry-run'}`);
  const from = await deployment.read();
  if (from.current === plan.build && from.ramping === null) {
    out.document({ build: options.build, outcome: 'current', because: null, steps: [] });
    out.notice(`${options.build} is current already: there is nothing to do.`);
    return EXIT.done;
  }
  const replay = await replayFirst(ops, options);
  await requireReady(deployment, from, options);
  const shares = plan.steps.length === 0 ? 'all new sagas now' : `${plan.steps.join(', ')} % of new sagas`;
  out.print(`${from.current ?? 'No build'} is current; ${plan.build} gets ${shares}.`);
  if (signature === undefined) {
    out.document({ build: plan.build, outcome: 'dry run', routing: shown(from), plan, replay });
    return EXIT.done;
  }
  await askBefore(ops, `roll ${plan.build} out, as ${signature.operator}?`, options.yes);
  const db = await to.database();
  const recorder = createRecorder(ops, 'rollout', signature.operator);
  const about = { resource: plan.build, reason: signature.reason };
  await recorder.announce(db, { ...about, before: shown(from), after: { ...plan } });
  const report = await untilInterrupted((stopped) => roll({ client, deployment, out, stopped }, plan, from));
  const after = { outcome: report.outcome, because: report.because, ...(await routingAfter(deployment)) };
  await recorder.conclude(db, { ...about, before: shown(from), after });
  out.document({ build: plan.build, ...report, ...after, replay });
  say(ops, plan, from, report);
  return report.outcome === 'current' ? EXIT.done : EXIT.failed;
}

/** @throws OpsError usage: it cannot be rolled out now */
async function requireReady({ name, isServed }: Deployment, routing: Routing, { build, now }: Options): Promise<void> {
  const { builds, ramping, percent: share } = routing;
  if (!builds.includes(build))
    throw usage(`${name} has no build ${build}, but ${builds.join(', ')}: start its workers first.`);
  if (ramping !== null && ramping !== build && !now)
    throw usage(`${ramping} has a share of ${share} % just now: end that rollout first.`);
  if (!(await isServed(build)))
    throw usage(`No worker of ${build} has asked for work in the last minute: start them first.`);
}

/** @throws OpsError failed: sagas cannot go on with the bundle, and it gets none */
async function replayFirst(ops: Ops, { bundle, against, unchecked, build }: Options) {
  if (bundle === undefined) return null;
  const since = Date.now() - REPLAYED_SINCE_MS;
  const report = await replaySagas(ops, { since, bundle, ...(against !== undefined && { against }) });
  if (report.replayed === 0) ops.out.notice('There is no saga to replay, which proves nothing.');
  const count = report.incompatible.length;
  if (count > 0 && !unchecked)
    throw new OpsError(
      `${build} gets no sagas: its code cannot go on with ${count} that are there. They would stay on the workers of their own build, as --unchecked says is meant; without these, or to go back, they would stand still.`,
      EXIT.failed,
    );
  return { replayed: report.replayed, incompatible: count, failingToday: report.failingToday.length };
}

/** Ctrl-C takes the build back: half-way is no place to stay unwatched. */
async function untilInterrupted<T>(work: (stopped: AbortSignal) => Promise<T>): Promise<T> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    return await work(stopping.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

const shown = ({ current, ramping, percent: share }: Routing) => ({ current, ramping, percent: share });
const routingAfter = async (deployment: Deployment) => ({ routing: shown(await deployment.read()) });

function say({ out }: Ops, { build }: RolloutPlan, { current }: Routing, { outcome, because }: RolloutReport): void {
  if (outcome === 'current') {
    const others = current === null ? '' : ` Keep the workers of ${current} until its sagas have ended.`;
    out.notice(`${build} is current.${others}`);
    return;
  }
  out.notice(out.paint('red', `${build} was taken back: ${because}.`));
  out.notice(
    `New sagas begin on ${current ?? 'workers without a build'} again. Those that began on ${build} stay on it: keep its workers until they have ended, and see \`ops stuck\`.`,
  );
}

function percents(text: string): number[] {
  const steps = text.split(',').map(Number);
  const isRising = steps.every((step, n) => step > (steps[n - 1] ?? 0) && step <= 100);
  if (!isRising || steps.at(-1) !== 100)
    throw new InvalidArgumentError('Write rising percents up to 100, such as 10,50,100.');
  return steps;
}

function percent(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 100)) throw new InvalidArgumentError('It must be from 0 to 100.');
  return value;
}

function duration(text: string): number {
  try {
    return parseDurationMs(text);
  } catch (err) {
    throw new InvalidArgumentError((err as Error).message);
  }
}
