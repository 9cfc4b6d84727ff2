/**
 * The bench: what the service costs and how fast it is, measured on real processes, beside yardsticks on the same servers
 * in the same minutes. Its figures are compared with what is promised; absolute ones belong to the machine.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '../local/checkout.js';
import { commitOf, describeMachine } from './machine.js';
import { parseOptions } from './options.js';
import { stopAll } from './product.js';
import { type QuietWatch, watchQuiet } from './quiet.js';
import { type Findings, markdown, printed, outcomeOf } from './report.js';
import type { Bench, Scenario } from './scenario.js';
import { burst } from './scenarios/burst.js';
import { deliveries } from './scenarios/deliveries.js';
import { growth } from './scenarios/growth.js';
import { hotSku } from './scenarios/hot-sku.js';
import { outage } from './scenarios/outage.js';
import { recovery } from './scenarios/recovery.js';
import { scaleOut } from './scenarios/scale-out.js';
import { sideBySide } from './scenarios/side-by-side.js';
import { soak } from './scenarios/soak.js';
import { startUp } from './scenarios/start-up.js';
import { traces } from './scenarios/traces.js';
import { waiting } from './scenarios/waiting.js';

const SCENARIOS: Scenario[] = [
  sideBySide,
  waiting,
  burst,
  hotSku,
  deliveries,
  outage,
  recovery,
  growth,
  scaleOut,
  soak,
  startUp,
  traces,
];
/** Below this a median or a percentile says nothing at all. */
const COUNT_MIN = 20;

if (process.platform !== 'linux') throw new Error('The bench reads /proc, which only Linux has.');
const begun = performance.now();
const say = (text: string) =>
  process.stderr.write(`[bench ${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}\n`);
const options = parseOptions(
  process.argv,
  SCENARIOS.map(({ name }) => name),
);
const bench: Bench = {
  ...options,
  say,
  sized: (count) => Math.max(COUNT_MIN, Math.round(count * options.scale)),
  starts: { first: [], again: [] },
};

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    say(`${signal}: stopping what was started …`);
    void stopAll().finally(() => process.exit(1));
  });
}

const quiet = await watchQuiet(say);
const findings: Findings = { figures: [], details: [] };
const failed: string[] = [];
for (const scenario of SCENARIOS) {
  if (options.only.length > 0 && !options.only.includes(scenario.name)) continue;
  say(scenario.name);
  try {
    const { figures, details } = await scenario.run(bench);
    findings.figures.push(...figures);
    findings.details.push(...details);
  } catch (err) {
    failed.push(scenario.name);
    say(`${scenario.name} FAILED, and is left out: ${(err as Error).stack}`);
  }
}

const facts = describeRun(quiet);
process.stdout.write(`${printed(findings)}\n${facts.join('\n')}\n`);
if (!quiet.isQuiet()) say('WARNING: this machine was not quiet. Measure again when it is.');
const isWhole = options.only.length === 0 && options.scale === 1 && failed.length === 0;
if (isWhole) writeFileSync(join(CHECKOUT, 'bench', 'RESULTS.md'), markdown(findings, facts));
say(isWhole ? 'bench/RESULTS.md is written.' : 'A part, or a smoke test: bench/RESULTS.md stays as it is.');
const missed = findings.figures.filter((figure) => outcomeOf(figure) === 'MISSED').length;
say(missed === 0 ? 'Every target was reached.' : `${missed} targets were missed.`);
process.exit(failed.length === 0 ? 0 : 1); // keep-alive connections to what has been stopped would hold the process

function describeRun(watch: QuietWatch): string[] {
  return [
    ...describeMachine(),
    ...(options.base === undefined ? [] : [`base: commit ${commitOf(options.base)}`]),
    watch.describe(),
    `${options.repetitions} repetitions in turns, medians; ${((performance.now() - begun) / 60_000).toFixed(1)} minutes`,
  ];
}
