/**
 * A part: one process of an installation, kept up as an orchestrator would keep it, unless a fault has it down. That it has ended by
 * itself, though it had been ready, is reported.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, type Program, type Running, run } from '../../local/processes/program.js';
import { signalTree } from './process-tree.js';

export type Part = {
  name: string;
  pid: () => number | undefined;
  isReady: () => Promise<boolean>;
  /** kill -9, and down until `up`. */
  kill: () => Promise<void>;
  /** Asks it to stop, and down until `up`. @returns how long it took */
  stop: () => Promise<number>;
  up: () => void;
  /** Frozen with all its children, until `resume`. */
  pause: () => void;
  resume: () => void;
  /** With these settings besides, from its next start. */
  vary: (variables: NodeJS.ProcessEnv) => void;
  /** It may end by itself: a disk is full. */
  mayEnd: (isSo: boolean) => void;
  /** Ends it for good. */
  retire: () => Promise<void>;
};

export type PartOptions = {
  name: string;
  /** Made anew for each start. */
  program: () => Promise<Program> | Program;
  /** Called when it has ended by itself. */
  surprised: (says: string) => void;
};

const START_AGAIN_MS = 500;
const LOOK_MS = 100;
/** What `npm start` and deployments give a process to end in. */
const STOP_LIMIT_MS = 30_000;

export function startPart({ name, program, surprised }: PartOptions): Part {
  let running: Running | undefined;
  let current: Program | undefined;
  let wanted = true;
  let isOver = false;
  let isReadyNow = false;
  let mayEnd = false;
  let variables: NodeJS.ProcessEnv = {};
  const end = async (how: (of: Running) => unknown) => {
    wanted = false;
    const of = running;
    if (!of) return;
    await how(of);
    await of.exited;
  };
  const supervise = async (): Promise<void> => {
    while (!isOver) {
      if (!wanted) {
        await sleep(LOOK_MS);
        continue;
      }
      const made = await program();
      if (!wanted) continue;
      current = { ...made, env: { ...made.env, ...variables } };
      const started = run(current);
      running = started;
      isReadyNow = false;
      const exit = await started.exited;
      running = undefined;
      if (wanted && isReadyNow && !mayEnd) surprised(`${name} has ended by itself (${describe(exit)})`);
      isReadyNow = false;
      if (wanted) await sleep(START_AGAIN_MS);
    }
  };
  const supervised = supervise().catch((err: unknown) =>
    surprised(`${name} cannot be started: ${(err as Error).message}`),
  );
  return {
    name,
    pid: () => running?.pid,
    isReady: async () => {
      const of = running;
      const answer = of !== undefined && (await current?.isReady().catch(() => false)) === true;
      if (answer && of === running) isReadyNow = true;
      return answer;
    },
    kill: () => end((of) => of.kill()),
    stop: async () => {
      const from = performance.now();
      await end((of) => of.stop(STOP_LIMIT_MS));
      const ms = performance.now() - from;
      if (ms >= STOP_LIMIT_MS) surprised(`${name} did not stop within ${STOP_LIMIT_MS / 1000} s`);
      return ms;
    },
    up: () => {
      wanted = true;
    },
    pause: () => signalTree(running?.pid, 'SIGSTOP'),
    resume: () => signalTree(running?.pid, 'SIGCONT'),
    vary: (settings) => {
      variables = settings;
    },
    mayEnd: (isSo) => {
      mayEnd = isSo;
    },
    retire: async () => {
      isOver = true;
      await end((of) => of.kill());
      await supervised;
    },
  };
}
