/**
 * Program: something this machine runs for us as a process of its own: Postgres, Temporal, the sandbox, our services. It
 * leads its own process group, so that Ctrl-C reaches the launcher first, and it never outlives the process that started it for
 * long: a watchdog stands by.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentOfWatchdog } from './environment.js';
import { safely } from './guard.js';
import { explainTakenPorts, type PortUse } from './ports.js';
import { SetupError } from '../say.mjs';

export type Program = {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  cwd: string;
  /** The user it runs as, where that is not the launcher’s. */
  user?: { uid: number; gid: number } | undefined;
  /** Receives all it prints, appended. */
  logFile: string;
  stopSignal: NodeJS.Signals;
  /** A folder that is of no use once the program has ended. */
  scratch?: string | undefined;
  /** What it listens on: a program that ends while it starts may have found one taken, whatever was free before. */
  ports?: PortUse[];
  isReady: () => Promise<boolean>;
  readyLimitMs: number;
};

export type Exit = { code: number | null; signal: NodeJS.Signals | null; error?: Error };

export type Running = {
  readonly pid: number | undefined;
  readonly exited: Promise<Exit>;
  /** Asks it to stop, kills it after `limitMs`; resolves when it is gone. */
  stop: (limitMs: number) => Promise<void>;
  kill: () => void;
};

export function run(program: Program): Running {
  const log = openSync(program.logFile, 'a', 0o600);
  const child = spawn(program.command, program.args, {
    cwd: program.cwd,
    env: program.env,
    stdio: ['ignore', log, log],
    detached: true,
    ...(program.user ?? {}),
  });
  closeSync(log);
  const watchdog = child.pid === undefined ? undefined : startWatchdog(program, child.pid);
  const exited = exitOf(child).finally(() => watchdog?.dismiss());
  const kill = () => killGroup(child.pid);
  return {
    pid: child.pid,
    exited,
    kill,
    stop: async (limitMs) => {
      child.kill(program.stopSignal);
      const timer = setTimeout(kill, limitMs);
      await exited;
      clearTimeout(timer);
      await watchdog?.gone;
    },
  };
}

/** Runs it and waits until it is ready. @throws SetupError with the last lines of its log if it never is */
export async function start(program: Program): Promise<Running> {
  const running = run(program);
  await untilReady(program, running);
  return running;
}

export async function untilReady(program: Program, running: Running): Promise<void> {
  let ended: Exit | undefined;
  void running.exited.then((exit) => {
    ended = exit;
  });
  const deadline = performance.now() + program.readyLimitMs;
  while (!(await program.isReady())) {
    if (ended !== undefined) {
      const taken = await explainTakenPorts(program.ports ?? []);
      const why = taken === undefined ? '' : `\n${taken}`;
      throw new SetupError(
        `${program.name} ended while it started (${describe(ended)}).${why}${lastLines(program.logFile)}`,
      );
    }
    if (performance.now() > deadline) {
      running.kill();
      const seconds = program.readyLimitMs / 1000;
      throw new SetupError(`${program.name} was not ready after ${seconds} s.${lastLines(program.logFile)}`);
    }
    await sleep(READY_POLL_MS);
  }
}

/** Start-up time is a promise of ours, and each look is one file or one request on this machine. */
const READY_POLL_MS = 25;

export function describe({ code, signal, error }: Exit): string {
  if (error !== undefined) return error.message;
  return signal === null ? `exit ${code}` : `killed by ${signal}`;
}

/** @returns the end of a log, introduced by its path; empty if there is none */
export function lastLines(logFile: string, count = 15): string {
  try {
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-count);
    return lines.join('') === '' ? '' : `\nThe end of ${logFile}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  } catch {
    return '';
  }
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    // For as long as it lives: each signal that cannot be sent is an error, and an error without a listener would end us.
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error }); // otherwise: a failed kill
    });
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

/** In a timer, and for one program after the other: a failed kill is reported, and the next is tried. */
const killGroup = safely('kill', (pid: number | undefined) => {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
  }
});

/** How long a program may take to stop when its starter has died. */
const LAST_GRACE_TENTHS = 150;

/**
 * Reads its stdin, whose other end we hold: a line means that the program has ended by itself; the end of the stream means
 * that we are gone, however that came about, kill -9 included. Neither Postgres nor Temporal can watch for that.
 */
const WATCHDOG = `
lives() { kill -s 0 "$1" 2>/dev/null && ! grep -qs ') Z' "/proc/$1/stat"; } # in a container, nobody may collect the dead
if read -r _; then exit 0; fi
kill -s "$1" "$2" 2>/dev/null
n=0
while lives "$2" && [ "$n" -lt "$3" ]; do sleep 0.1; n=$((n + 1)); done
kill -s KILL -- "-$2" 2>/dev/null
[ -z "$4" ] || rm -rf -- "$4"
`;

function startWatchdog(program: Program, pid: number): { dismiss: () => void; gone: Promise<Exit> } | undefined {
  if (process.platform === 'win32') return undefined;
  const signal = program.stopSignal.replace('SIG', '');
  const args = ['-c', WATCHDOG, 'watchdog', signal, `${pid}`, `${LAST_GRACE_TENTHS}`, program.scratch ?? ''];
  const child = spawn('/bin/sh', args, {
    env: environmentOfWatchdog(program.env),
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  child.stdin?.on('error', () => {}); // someone killed it: the next start reaps what it would have
  return { dismiss: () => child.stdin?.end('\n'), gone: exitOf(child) };
}
