/**
 * Launcher: all of order-saga on one machine, in one command. It starts what is missing (Postgres, Temporal, the payment
 * sandbox), then the service, keeps them running, and stops them. None of it is used in production.
 */
import { join } from 'node:path';
import { banner } from './banner.js';
import { type DemoControl, startDemo } from './demo/control.js';
import { isDemoPossible } from './demo/demonstration.js';
import { forgetDestination } from './demo/leftovers.js';
import { demoPlace } from './demo/place.js';
import { CHECKOUT } from './checkout.js';
import { type DataDir, openDataDir, writePrivate } from './data-dir.js';
import { ignoredEnvFile } from './env-file.js';
import { guardLauncher, outliveReaders, presentable, safely, tell } from './processes/guard.js';
import { openRegister, reapLeftovers } from './processes/leftovers.js';
import { rotate, showWarnings } from './processes/logs.js';
import { migrate, seedCatalogue } from './setup/migrate.js';
import { firstFreePorts, requireFreePorts } from './processes/ports.js';
import { chosenPorts, postgresPort, temporalPorts } from './port-uses.js';
import { adminUrl, type ClusterOptions, ensureDatabase, preparePostgres } from './postgres/server.js';
import { durablePlace } from './postgres/place.js';
import { SetupError, say } from './say.mjs';
import { type ServiceEnv, sandboxProgram, servicePrograms, signsOf } from './services.js';
import { readSettings, type Settings } from './settings.js';
import type { Program } from './processes/program.js';
import { createSupervisor, stoppingFirst, type Supervisor } from './processes/supervisor.js';
import { temporalProgram } from './temporal/server.js';
import { findTemporalCli } from './temporal/cli.js';
import { unprivilegedUser } from './processes/unprivileged.js';

const DATABASE = 'order_saga';

export type Launched = {
  /** Brings what runs to a new build, as far as these sources, such as `domain/orders.ts`, have changed. Resolves when it is ready. */
  renew: (changed: string[]) => Promise<void>;
};

/**
 * Resolves when everything is ready; the process then lives until a signal.
 * @throws SetupError or ConfigError, with nothing left running
 */
export async function launch(): Promise<Launched> {
  outliveReaders();
  const ignored = ignoredEnvFile(CHECKOUT, process.env);
  if (ignored !== undefined) say(ignored);
  const settings = readSettings(process.env);
  const data = openDataDir(settings.DATA_DIR);
  process.once('exit', safely('release', data.release));
  const processes = join(data.path, 'processes.json');
  await reapLeftovers(processes);
  await requireFreePorts(chosenPorts(settings));
  const demo: { control?: DemoControl } = {};
  // What stands still is let go on first, so that it stops in order, too.
  const supervisor = stoppingFirst(createSupervisor(openRegister(processes)), async () => demo.control?.stop());
  const isLeaving = leaveOnSignals(supervisor);
  try {
    const databaseUrl = await startAll(settings, data, supervisor, demo);
    guardLauncher();
    return { renew: (changed) => renew(changed, databaseUrl, supervisor) };
  } catch (err) {
    if (isLeaving()) return new Promise(() => {}); // whatever failed did so because of that; the process is about to end
    await supervisor.stop();
    throw presentable(err);
  }
}

/** Sources that no service runs. */
const NO_SERVICE = /^(sandbox|issuer|ops|local|bench)\//;
const SANDBOX = /^(sandbox|runtime)\//;

async function renew(changed: string[], databaseUrl: string, supervisor: Supervisor): Promise<void> {
  if (changed.some((path) => path.startsWith('prisma/'))) await migrate(databaseUrl);
  await Promise.all([
    changed.some((path) => SANDBOX.test(path)) && supervisor.restart('sandbox'),
    changed.some((path) => !NO_SERVICE.test(path)) && supervisor.restart('service'),
  ]);
}

/** @returns the database's URL */
async function startAll(
  settings: Settings,
  data: DataDir,
  supervisor: Supervisor,
  demo: { control?: DemoControl },
): Promise<string> {
  // Before anything is begun: a promise that fails before it is awaited would end us with a stack.
  const metricsPorts = await findMetricsPorts(settings);
  const temporalCli = settings.TEMPORAL_ADDRESS === undefined ? findTemporalCli(process.env) : undefined;
  const database = startDatabase(settings, data, supervisor);
  const stripeWebhookSecret = settings.STRIPE_WEBHOOK_SECRET ?? data.secrets.stripeWebhook;
  const programs: Program[] = [];
  if (isDemoPossible(settings)) demo.control = await startDemo(demoPlace(settings, data, supervisor, programs));
  const launcherUrl = demo.control?.url;
  const env: ServiceEnv = { dataDir: data.path, stripeWebhookSecret, logFile: logsOf(data), metricsPorts, launcherUrl };
  const [cli] = await Promise.all([
    temporalCli,
    temporalCli?.then((cli) => startTemporal(cli, settings, data, supervisor)),
    settings.PAYMENTS_URL === undefined ? startSandbox(settings, env, supervisor) : undefined,
    // The services wait for Temporal by themselves, so that their loading and its start overlap.
    Promise.all([database, temporalCli]).then(([url]) => startServices(settings, url, env, supervisor, programs)),
  ]);
  process.stdout.write(
    banner({
      settings,
      dataDir: data.path,
      databaseUrlFile: databaseUrlFile(data),
      temporalCli: cli,
      processes: supervisor.list(),
      metricsPorts,
      seconds: performance.now() / 1000, // since this process began
    }),
  );
  return database;
}

/** @returns the URL of a database that is migrated and has a catalogue */
async function startDatabase(settings: Settings, data: DataDir, supervisor: Supervisor): Promise<string> {
  const url = settings.DATABASE_URL ?? (await startPostgres(settings, data, supervisor));
  await migrate(url);
  await seedCatalogue(url);
  await forgetDestination(data.path, url);
  return url;
}

async function startPostgres(settings: Settings, data: DataDir, supervisor: Supervisor): Promise<string> {
  const user = unprivilegedUser();
  const cluster: ClusterOptions = {
    place: durablePlace(data.path, user),
    user,
    port: settings.POSTGRES_PORT,
    logFile: logsOf(data)('postgres'),
    password: data.secrets.postgresSuperuser,
    durable: true,
    signs: signsOf(settings),
  };
  await supervisor.start('server', { ...(await preparePostgres(cluster)), ports: [postgresPort(settings)] });
  const url = await ensureDatabase(adminUrl(cluster), DATABASE, data.secrets.postgresApp);
  writePrivate(databaseUrlFile(data), url);
  return url;
}

/** For `psql "$(cat .data/database-url)"`: the password is in no listing, no log and no shell history. */
const databaseUrlFile = (data: DataDir): string => join(data.path, 'database-url');

async function startTemporal(cli: string, settings: Settings, data: DataDir, supervisor: Supervisor): Promise<void> {
  const program = temporalProgram({
    cli,
    port: settings.TEMPORAL_PORT,
    uiPort: settings.TEMPORAL_UI_PORT,
    file: join(data.path, 'temporal', 'temporal.db'),
    logFile: logsOf(data)('temporal'),
    signs: signsOf(settings),
  });
  await supervisor.start('server', { ...program, ports: temporalPorts(settings) });
}

async function startSandbox(settings: Settings, env: ServiceEnv, supervisor: Supervisor): Promise<void> {
  const program = sandboxProgram(settings, env);
  await supervisor.start('sandbox', program);
  showWarnings(program.name, program.logFile, say);
}

async function startServices(
  settings: Settings,
  databaseUrl: string,
  env: ServiceEnv,
  supervisor: Supervisor,
  programs: Program[],
): Promise<void> {
  programs.push(...servicePrograms(settings, databaseUrl, env));
  await Promise.all(programs.map((program) => supervisor.start('service', program)));
  // From their beginning on. Of a program that does not get ready, the supervisor shows the end of the log.
  for (const program of programs) showWarnings(program.name, program.logFile, say);
}

const logsOf =
  (data: DataDir) =>
  (name: string): string => {
    const file = join(data.path, 'logs', `${name}.log`);
    rotate(file);
    return file;
  };

async function findMetricsPorts(settings: Settings): Promise<number[]> {
  const { METRICS_PORT, METRICS_HOST, roles } = settings;
  if (METRICS_PORT === 0) return [];
  const others = chosenPorts(settings).map(({ port }) => port);
  const found = await firstFreePorts(METRICS_PORT, roles.length, METRICS_HOST, others);
  if (found.length < roles.length) {
    throw new SetupError(
      `From port ${METRICS_PORT} (METRICS_PORT, for metrics) on, fewer than ${roles.length} are free on ${METRICS_HOST}. Choose a lower one: METRICS_PORT=<port> npm start`,
    );
  }
  return found;
}

/** A terminal's Ctrl-C reaches us twice, from the terminal and from npm: that is one wish. */
const SAME_WISH_MS = 500;
/** How often to see whether npm is still there. */
const PARENT_POLL_MS = 500;

/** The first signal stops everything in order, a second one at once. @returns whether that has begun */
function leaveOnSignals(supervisor: Supervisor): () => boolean {
  let leavingSince: number | undefined;
  let killing = false;
  const leave = (why: string) => {
    const now = performance.now();
    if (leavingSince === undefined) {
      leavingSince = now;
      say(`\nStopping (${why}) …`);
      void supervisor.stop().then(
        () => {
          say('Stopped.');
          process.exit(0);
        },
        (err: unknown) => {
          tell('stop', err);
          process.exit(1); // whereupon the watchdogs stop what still runs
        },
      );
    } else if (now - leavingSince > SAME_WISH_MS && !killing) {
      killing = true;
      say(`Killing what still runs (${why}).`);
      void supervisor.kill().finally(() => process.exit(1));
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);
  leaveWithParent(leave);
  return () => leavingSince !== undefined;
}

/** npm may be killed without a word to us. Whoever starts the launcher without npm may well leave it running on purpose. */
function leaveWithParent(leave: (why: string) => void): void {
  if (!['start', 'dev'].includes(process.env['npm_lifecycle_event'] ?? '')) return;
  const parent = process.ppid;
  const timer = setInterval(
    safely('parent', () => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      leave('npm has gone');
    }),
    PARENT_POLL_MS,
  );
}
