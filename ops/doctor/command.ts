/** `doctor`: the whole chain in one table: the first thing to run at 3 a.m., and after every deployment. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { Database } from '../../domain/database.js';
import { SUBJECT } from '../../contracts/saga.js';
import { sentenceOf } from '../../runtime/errors/facts.js';
import { addJsonOption, type Ops, run } from '../command.js';
import { type OpsConfig, policyOf, type Temporal } from '../connections.js';
import { EXIT, type ExitCode, usage } from '../exit.js';
import type { Output } from '../output.js';
import { createRecorder } from '../recorder.js';
import { whyNoProbe, withCauses, withRefusedKey } from './causes.js';
import { type Check, type CheckStatus, check, fail, skipped } from './checks.js';
import { checkErasures } from './erasures.js';
import { checkEvents } from './events.js';
import { checkNeighbours } from './neighbours.js';
import { checkPostgres } from './postgres.js';
import { checkWithProbe } from './probe.js';
import { checkTemporal, readErrorsOfParked } from './temporal.js';

type Options = { probe: boolean; api?: string; operator?: string };

export function addDoctorCommand(program: Command): void {
  const command = program
    .command('doctor')
    .summary('whether the whole chain works: the first thing to run, and after a deployment')
    .description(
      'Asks Postgres, Temporal, the payment gateway, the API and Prometheus how they stand, and sends a probe through the chain: an order of the customer `ops-doctor` that is cancelled by the transaction that accepts it, so that it never holds stock and moves no money. Its events order.created and order.cancelled do reach the destinations. Ends with 1 if a check has failed, with 69 if Postgres or Temporal is away.',
    )
    .option('--no-probe', 'send no probe order')
    .option('--api <url>', 'where the API is (default: PORT on this machine, if its data is in DATA_DIR)', httpUrl)
    .option('--operator <subject>', 'under whose name the probe is recorded (default: OPS_OPERATOR, or ops-doctor)');
  addJsonOption(command)
    .addHelpText(
      'after',
      '\nExamples:\n  ops doctor\n  ops doctor --json --no-probe\n  PROMETHEUS_URL=http://127.0.0.1:9090 ops doctor --api http://127.0.0.1:3000',
    )
    .action((options: Options) => run(command, (ops) => doctor(ops, options)));
}

function httpUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new InvalidArgumentError('It must be a URL such as http://127.0.0.1:3000.');
  return text.replace(/\/$/, '');
}

async function doctor(ops: Ops, options: Options): Promise<ExitCode> {
  const { to, config, out } = ops;
  const operator = options.operator ?? config.OPS_OPERATOR ?? 'ops-doctor';
  if (!SUBJECT.test(operator)) throw usage('--operator must be an opaque subject id of at most 128 characters.');
  const asked = await Promise.all([reach('database', () => to.database()), reach('temporal', () => to.temporal())]);
  const [{ value: db, missing: noDatabase }, { value: temporal, missing: noTemporal }] = asked;
  const erasing = { deadlineMs: config.ERASURE_DEADLINE, alertBeforeMs: config.ERASURE_ALERT_BEFORE };
  const [postgres, erasures, events, sagas, neighbours, lastErrors] = await Promise.all([
    db ? checkPostgres(db, config.KEY_ENCRYPTION) : [],
    db ? checkErasures(ops) : [],
    db ? checkEvents(db, erasing) : [],
    temporal ? checkTemporal(temporal, db, policyOf(config)) : [],
    checkNeighbours({ config, apiUrl: options.api ?? laptopApi(config) }, db),
    db && temporal ? readErrorsOfParked(db, temporal) : [],
  ]);
  const before = [
    ...neighbours.map((one) => (one.name === 'gateway' ? withRefusedKey(one, lastErrors) : one)),
    ...events,
  ];
  const probe = await probeChecks(ops, { db, temporal, before, isWanted: options.probe, operator });
  const away = [...noDatabase, ...noTemporal];
  const checks = withCauses([...away, ...postgres, ...erasures, ...sagas, ...before, ...probe]);
  const counts = countsOf(checks);
  out.document({ well: counts.fail === 0, counts, checks });
  printChecks(out, checks, counts);
  if (away.length > 0) return EXIT.unavailable;
  return counts.fail > 0 ? EXIT.failed : EXIT.done;
}

/** @returns what was reached, or the check that says why not */
async function reach<T>(name: string, connect: () => Promise<T>): Promise<{ value: T | undefined; missing: Check[] }> {
  try {
    return { value: await connect(), missing: [] };
  } catch (err) {
    return { value: undefined, missing: [{ name, ...fail(sentenceOf(err)) }] };
  }
}

type Probe = {
  db: Database | undefined;
  temporal: Temporal | undefined;
  /** What of the service is known by then. */
  before: Check[];
  isWanted: boolean;
  operator: string;
};

function probeChecks(ops: Ops, { db, temporal, before, isWanted, operator }: Probe): Promise<Check[]> {
  const not = (why: string) => Promise.all([check('probe order', async () => skipped(why))]);
  if (!isWanted) return not('--no-probe');
  if (db === undefined || temporal === undefined) return not('Postgres and Temporal come first');
  const why = whyNoProbe(before);
  if (why !== undefined) return not(why);
  return checkWithProbe({ db, temporal }, createRecorder(ops, 'doctor', operator), operator);
}

/** Of what `npm start` runs; a server's API may be anywhere. */
function laptopApi({ DATABASE_URL, DATA_DIR, HOST, PORT }: OpsConfig): string | undefined {
  if (DATABASE_URL !== undefined || !existsSync(join(resolve(DATA_DIR), 'database-url'))) return undefined;
  const host = ['0.0.0.0', '::'].includes(HOST) ? '127.0.0.1' : HOST;
  return `http://${host.includes(':') ? `[${host}]` : host}:${PORT}`;
}

type Counts = Record<CheckStatus, number>;

const countsOf = (checks: Check[]): Counts => {
  const count = (status: CheckStatus) => checks.filter((one) => one.status === status).length;
  return { ok: count('ok'), warn: count('warn'), fail: count('fail'), skipped: count('skipped') };
};

const STYLES = { ok: 'green', warn: 'yellow', fail: 'red', skipped: 'dim' } as const;

function printChecks(out: Output, checks: Check[], counts: Counts): void {
  out.table(
    ['', 'check', ''],
    checks.map(({ name, status, detail }) => [out.paint(STYLES[status], status), name, detail]),
  );
  const words = Object.entries(counts).filter(([, count]) => count > 0);
  out.print(`\n${words.map(([status, count]) => `${count} ${status}`).join(', ')}`);
}
