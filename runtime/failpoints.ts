/**
 * Failpoints: named moments at which a test has this process die, freeze, fail or lose its database. FAILPOINTS is a
 * folder; a file `<subject>.<moment>` in it, holding an action, is one plan, which the first process that comes there carries
 * out, once. Renaming takes it, so that no second process does the same: `….hit` has been met, and says by which process;
 * `….over`: the work in which it was met has ended, well or badly.
 *
 * Refused wherever it could do harm: plans are carried out only on a test's own database and against a gateway on this
 * machine. Those would suffer, so their addresses are checked, not a flag that says "test".
 */
import { appendFileSync, readFileSync, renameSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { ConfigError } from './config.js';

/**
 * - `stop`  SIGSTOP: asleep until a SIGCONT
 * - `exit`  SIGKILL
 * - `throw` an error
 * - `drop`  every connection to Postgres is cut, at once
 * - `lose`  every connection to Postgres is cut when its next COMMIT is on its way: the answer does not arrive
 */
export const ACTIONS = ['stop', 'exit', 'throw', 'drop', 'lose'] as const;
export type Action = (typeof ACTIONS)[number];

export type Failpoints = {
  /** Carries out the plan for this moment of this subject, if there is one. */
  at(moment: string, subject: string): void;
  /** Marks a plan that this subject has met as over. */
  end(subject: string): void;
  /** Makes the connections to Postgres, so that they can be cut. */
  openSocket(): Socket;
};

const LOOPBACK = new Set(['127.0.0.1', '::1', '[::1]', 'localhost']);
const TEST_DATABASE = /^\/test_[0-9a-f]{32}$/;

/** @throws ConfigError unless the database and the gateway are a test's */
export function openFailpoints(
  folder: string,
  { databaseUrl, paymentsUrl }: { databaseUrl: string; paymentsUrl: string | undefined },
): Failpoints {
  const database = new URL(databaseUrl);
  // A query could name another host than the one that is looked at here.
  if (!LOOPBACK.has(database.hostname) || !TEST_DATABASE.test(database.pathname) || database.search !== '')
    throw new ConfigError('FAILPOINTS is set, but DATABASE_URL is not a database that a test has made: unset it.');
  if (paymentsUrl === undefined || !LOOPBACK.has(new URL(paymentsUrl).hostname))
    throw new ConfigError('FAILPOINTS is set, but PAYMENTS_URL is not on this machine: unset it.');
  const sockets = new Set<Socket>();
  const met = new Map<string, string>();
  return {
    at: (moment, subject) => {
      const plan = join(folder, `${subject}.${moment}`);
      const action = claimPlan(plan);
      if (action === undefined) return;
      met.set(subject, plan);
      perform(action, sockets);
    },
    end: (subject) => {
      const plan = met.get(subject);
      if (plan === undefined) return;
      met.delete(subject);
      renameSync(`${plan}.hit`, `${plan}.over`);
    },
    openSocket: () => {
      const socket = new Socket();
      sockets.add(socket);
      return socket.once('close', () => sockets.delete(socket));
    },
  };
}

function claimPlan(plan: string): Action | undefined {
  const claimed = `${plan}.hit`;
  try {
    renameSync(plan, claimed);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw err;
  }
  const action = readFileSync(claimed, 'utf8').trim() as Action;
  appendFileSync(claimed, ` ${process.pid}`);
  return action;
}

function perform(action: Action, sockets: ReadonlySet<Socket>): void {
  switch (action) {
    case 'stop':
      signalSelf('SIGSTOP');
      return;
    case 'exit':
      signalSelf('SIGKILL');
      return;
    case 'throw':
      throw new Error('planned failure');
    case 'drop':
      for (const socket of sockets) socket.destroy(new Error('planned loss of the connection'));
      return;
    case 'lose':
      for (const socket of sockets) cutAfterCommit(socket);
      return;
    default:
      throw new Error(`Bug! Unhandled action "${action satisfies never}"`);
  }
}

/** Returns when the signal has been delivered: the kernel may let a thread run on for a moment. */
function signalSelf(signal: NodeJS.Signals): void {
  process.kill(process.pid, signal);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SIGNAL_DELIVERY_MS);
}
const SIGNAL_DELIVERY_MS = 200;

function cutAfterCommit(socket: Socket): void {
  const write = socket.write.bind(socket) as Socket['write'];
  socket.write = ((chunk: Uint8Array | string, ...rest: never[]) => {
    const written = write(chunk, ...rest);
    if (Buffer.from(chunk as string).includes('COMMIT')) socket.destroySoon(); // what is written still goes out
    return written;
  }) as Socket['write'];
}
