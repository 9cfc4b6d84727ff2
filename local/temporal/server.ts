/** Temporal on this machine: the development server of the Temporal CLI, which is the real server on SQLite. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { environment } from '../processes/environment.js';
import type { Program } from '../processes/program.js';

export type TemporalOptions = {
  /** temporal-cli.ts */
  cli: string;
  port: number;
  /** Its Web UI, which also answers JSON: that is how we ask whether it is ready. */
  uiPort: number;
  file: string;
  logFile: string;
  /** By which its process is known as this installation's: services.ts. */
  signs?: NodeJS.ProcessEnv;
};

const HOST = '127.0.0.1';
const READY_LIMIT_MS = 60_000;

/** Must agree with contracts/: an attribute that the server does not know fails the workflow that sets it. */
const SEARCH_ATTRIBUTES = ['SagaState', 'SagaStep', 'SagaFailure', 'CustomerId'];

export function temporalProgram(options: TemporalOptions): Program {
  const { cli, port, uiPort, file, logFile } = options;
  discardHalfMade(file);
  const ports = ['--ip', HOST, '--port', `${port}`, '--ui-port', `${uiPort}`];
  return {
    name: 'Temporal',
    command: cli,
    args: [
      'server',
      'start-dev',
      ...ports,
      ...['--log-level', 'error', '--db-filename', file, ...SQLITE],
      ...SEARCH_ATTRIBUTES.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
      ...Object.entries(SERVER).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
    ],
    env: temporalEnv(options.signs ?? {}),
    cwd: dirname(file),
    logFile,
    stopSignal: 'SIGTERM',
    isReady: async () => {
      if (!(await isReady(uiPort))) return false;
      writeFileSync(markerOf(file), '');
      return true;
    },
    readyLimitMs: READY_LIMIT_MS,
  };
}

/**
 * WAL with full syncs is four times faster than the server's own default and loses no acknowledged start; NORMAL may.
 */
const SQLITE = ['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'];

const ENOUGH = 100_000;
const SERVER: Record<string, number | boolean> = {
  // A server of one's own has no other client to protect from its only one; each of these throttles at a few hundred orders/s.
  'frontend.rps': ENOUGH,
  'frontend.namespaceRPS': ENOUGH,
  'frontend.namespaceRPS.visibility': ENOUGH,
  'frontend.persistenceMaxQPS': ENOUGH,
  'history.rps': ENOUGH,
  'history.persistenceMaxQPS': ENOUGH,
  'matching.rps': ENOUGH,
  'matching.persistenceMaxQPS': ENOUGH,
  // A second partition only adds hops where one process serves them all.
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  // The list of workflows is written once a second instead of 20 times: a saga that has ended by then is written once, as ended, instead of
  // twice. In one go there may be as many records as the starts and ends of 1,000 sagas make.
  'history.visibilityProcessorMaxPollRPS': 1,
  'history.visibilityTaskBatchSize': 2_000,
  // SQLite has one connection, and whoever waits for it is chosen by chance: with the default of 512 a second's records would hold up the sagas
  // that run. Two write as fast.
  'history.visibilityProcessorSchedulerWorkerCount': 2,
  // As a server in production has it. The development server reads anew from SQLite which search attributes there are wherever it meets one: seven
  // of the ten reads of an order.
  'system.forceSearchAttributesCacheRefreshOnRead': false,
  'system.enableEagerWorkflowStart': true,
  'system.enableActivityEagerExecution': true,
};

/**
 * TEMPORAL_ADDRESS, TEMPORAL_PROFILE and the like are for clients; the CLI would read them here, too. GOGC: 400 takes 5 % less CPU for
 * some 100 MB.
 */
const temporalEnv = (signs: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  GOGC: '400',
  ...environment(process.env, 'GOGC', 'GOMEMLIMIT', 'GOMAXPROCS', 'GODEBUG', 'GOTRACEBACK'),
  ...signs,
  ROLE: 'temporal',
});

/** Ready: the namespace is there, and it knows the search attributes, which are registered after it and heard of within two seconds. */
async function isReady(uiPort: number): Promise<boolean> {
  const query = encodeURIComponent(SEARCH_ATTRIBUTES.map((name) => `${name} = 'none'`).join(' AND '));
  try {
    const list = `http://${HOST}:${uiPort}/api/v1/namespaces/default/workflows?pageSize=1&query=${query}`;
    return (await fetch(list, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false; // not yet
  }
}

const markerOf = (file: string) => join(dirname(file), 'complete');

/** The server creates its schema only where there is no file: one that was killed while doing so would never start. */
function discardHalfMade(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  if (existsSync(markerOf(file))) return;
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${file}${suffix}`, { force: true });
}
