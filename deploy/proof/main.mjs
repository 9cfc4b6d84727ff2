/**
 * Deploy test: docker-compose.yml and deploy/README.md, run on a Docker engine in a project of their own, from the first start to restores:
 *   npm run deploy:test                       all of it; writes deploy/RESULTS.md
 *   npm run deploy:test -- start kills        some stages, and writes nothing
 * Needs `docker compose`, an engine on this machine, the right to signal its processes, and the ports of the page (PROOF_PORT
 * instead of 3000). KEEP=1 leaves all as it is.
 */
import { cpus } from 'node:os';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { logical, moment, physical } from './backup.mjs';
import { copyCheckout, PORT, seconds, sh, whyNot } from './engine.mjs';
import { readPage } from './page.mjs';
import { hang, heap, kills, orders, scaling, server, start, stopAndStart, stuck } from './running.mjs';
import { back, rollout, upgrade } from './upgrade.mjs';

const STAGES = {
  start,
  orders,
  upgrade,
  back,
  rollout,
  kills,
  hang,
  heap,
  physical,
  stuck,
  stopAndStart,
  scaling,
  moment,
  logical,
  server,
};
/** Shorter than on a server, so that what they lead to is seen soon; and images whose names are nobody else's. */
const OWN = [
  ...['STEP_RETRY_BUDGET=15s', 'EVENT_LOOP_STALL_MAX=10s', `PORT=${PORT}`],
  ...['ORDER_SAGA_IMAGE=order-saga-proof:one', 'ORDER_SAGA_MIGRATE_IMAGE=order-saga-migrate-proof:one'],
];

const asked = process.argv.slice(2);
const stages = asked.length === 0 ? Object.keys(STAGES) : asked.filter((name) => name in STAGES);
const say = (sentence) => process.stdout.write(`${sentence}\n`);

const reason = whyNot();
if (reason !== undefined) {
  for (const name of stages) say(`skipped: ${name}: ${reason}`);
  process.exit(0);
}

const { folder, remove } = copyCheckout();
const page = readPage(folder);
const rows = [];
const context = {
  folder,
  page,
  note: (what, seen) => {
    rows.push(`| ${what} | ${seen} |`);
    say(`  ${what}: ${seen}`);
  },
  own: () => setEnv(OWN),
  setEnv,
};
function setEnv(lines) {
  const file = join(folder, '.env');
  for (const each of lines) {
    const others = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith(each.replace(/=.*/, '=')));
    writeFileSync(file, `${[...others, each].join('\n')}\n`);
  }
}
let failed = false;
for (const name of stages) {
  say(name);
  const began = performance.now();
  rows.push(`| **${name}** | |`);
  try {
    await STAGES[name](context);
  } catch (err) {
    // The stages after it may well hold.
    failed = true;
    rows.push(`| **failed** | ${err.message.replaceAll(/\s+/g, ' ').replaceAll('|', '/').slice(0, 300)} |`);
    say(`FAILED: ${err.stack}`);
    say(
      sh(
        "docker compose ps -a --format '{{.Service}} {{.Status}}'; docker compose logs --tail 2 api worker relay 2>&1 | cut -c1-300",
        { cwd: folder },
      ),
    );
  }
  say(`  ${seconds((performance.now() - began) / 1_000)} s`);
  if (asked.length === 0) report(stages.slice(stages.indexOf(name) + 1));
}
const { missed } = page.summary();
if (asked.length === 0 && missed.length > 0) {
  failed = true;
  say(`Never run of the page:\n${missed.join('\n')}`);
}
if (process.env.KEEP) say(`Left as it is: ${folder}`);
else {
  sh('COMPOSE_PROFILES=dev,draining docker compose down -v --remove-orphans', { cwd: folder });
  remove();
}
process.exitCode = failed ? 1 : 0;

/** @param ahead stages that are still to come: what a run that ends early leaves behind says so */
function report(ahead) {
  const { run, left, missed } = page.summary();
  const versions = `Docker Engine ${sh("docker info --format '{{.ServerVersion}}'").trim()}, Compose ${sh('docker compose version --short').trim()}`;
  const machine = `${cpus().length} cores of ${cpus()[0].model}, load ${readFileSync('/proc/loadavg', 'utf8').split(' ', 1)[0]} at the end`;
  const head = [
    '# What was tried of this folder, with figures',
    'Written by `npm run deploy:test`, which copies this checkout, and runs docker-compose.yml and the commands of [README.md](README.md) in the order of that page.',
    '',
    `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, ${versions}, ${machine}. Of the page’s commands ${run} were run; ${left} were not: they are for a Temporal of your own.${ahead.length > 0 ? ` Not come to in this run: ${ahead.join(', ')} (${missed.length} commands).` : ''}`,
    '',
    '| what | seen |',
    '|---|---|',
  ];
  const file = new URL('../RESULTS.md', import.meta.url);
  const tail = readTail(file);
  writeFileSync(file, `${[...head, ...rows].join('\n')}\n${tail}`);
}

/** What is written by hand stands after a line of its own, and stays. */
function readTail(file) {
  try {
    const [, tail] = readFileSync(file, 'utf8').split(/^(?=## )/m, 2);
    return tail === undefined ? '' : `\n${tail}`;
  } catch {
    return '';
  }
}
