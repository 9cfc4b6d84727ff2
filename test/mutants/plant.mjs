/**
 * Planting: each mutant in a copy of the checkout, never in the checkout itself. Mutants of one test follow each other, and the test
 * has to pass without any of them first, run alone as it is with them. All share one Postgres, but for mutants of what tables are made of.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { say } from '../../local/say.mjs';
import { judge } from './judgement.mjs';
import { runTests, stopTests } from './tests.mjs';

/**
 * @param keep is told each result
 * @returns a result for each mutant, in their order: itself, whether it was caught, in how many seconds, and if not, why
 */
export async function plantAll(root, mutants, workers, keep) {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-mutants-'));
  const { startTestServers } = await import('../../dist/testbed/servers.js');
  const { ready, stop } = startTestServers();
  let stopped;
  const leave = () => {
    stopTests();
    stopped ??= stop().finally(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 500 }));
    return stopped;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => leave().then(() => process.exit(1)));
  const groups = groupByTest(mutants);
  const results = new Map();
  const work = async (n) => {
    const copy = join(folder, `${n}`);
    copyCheckout(root, copy);
    for (let group = groups.shift(); group; group = groups.shift())
      await plantGroup({ root, copy, servers: await serversOf(ready) }, group, (mutant, verdict) => {
        results.set(mutant.id, { ...mutant, ...verdict });
        keep({ ...mutant, ...verdict });
        const { caught, seconds, why } = verdict;
        const state = caught ? 'caught in' : 'SURVIVED';
        say(`${results.size}/${mutants.length} ${mutant.id}: ${state} ${seconds} s${caught ? '' : `: ${why}`}`);
      });
  };
  try {
    await Promise.all(Array.from({ length: Math.min(workers, groups.length) }, (_, n) => work(n)));
    return mutants.map(({ id }) => results.get(id));
  } finally {
    await leave();
  }
}

async function serversOf(ready) {
  const { adminUrl, template, temporalCli } = await ready;
  return { TEST_DATABASE_ADMIN_URL: adminUrl, TEST_TEMPLATE_DATABASE: template, TEMPORAL_CLI_PATH: temporalCli };
}

function groupByTest(mutants) {
  const groups = new Map();
  for (const mutant of mutants) {
    const key = `${mutant.test} ${mutant.name}`;
    groups.set(key, [...(groups.get(key) ?? []), mutant]);
  }
  return [...groups.values()];
}

/** What Git knows or would take, as it stands, with what is made of it. Packages are only read: a link is enough. */
function copyCheckout(root, copy) {
  const listed = execFileSync('git', ['ls-files', '-coz', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  for (const path of [...listed.split('\0').filter(Boolean), 'dist', 'prisma/generated'])
    if (existsSync(join(root, path))) cpSync(join(root, path), join(copy, path), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
}

async function plantGroup(place, mutants, report) {
  const intact = await runTests(place.copy, place.servers, mutants[0]);
  const unfit = judge.intact(intact, mutants[0].name);
  for (const mutant of mutants)
    report(mutant, unfit ? { caught: false, seconds: 0, why: `without it, ${unfit}` } : await plant(place, mutant));
}

/** Tests load the product from its sources, but for the workflow bundle, the tables, and the processes that they start. */
const isMadeOfDist = (copy, { file, test }) =>
  /^(contracts|workflows|prisma)\//.test(file) ||
  /dist\/|\.\/cli\.js|support\/(service|surroundings|launcher)/.test(readFileSync(join(copy, test), 'utf8'));

async function plant({ root, copy, servers }, mutant) {
  const path = join(copy, mutant.file);
  const source = readFileSync(path, 'utf8');
  const isBuiltFirst = isMadeOfDist(copy, mutant);
  if (source.split(mutant.find).length !== 2)
    return { caught: false, seconds: 0, why: 'what it changes is not there once' };
  writeFileSync(
    path,
    source.replace(mutant.find, () => mutant.replace),
  );
  try {
    const lent = mutant.file.startsWith('prisma/') ? {} : servers;
    const run = await runTests(copy, lent, { ...mutant, isBuiltFirst });
    const why = judge.mutated(run, mutant);
    return { caught: why === undefined, seconds: run.seconds, ...(why && { why }) };
  } finally {
    writeFileSync(path, source);
    if (isBuiltFirst) {
      rmSync(join(copy, 'dist'), { recursive: true, force: true });
      cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true });
    }
  }
}
