/**
 * A part: one process of an installation, kept up as an orchestrator would keep it, unless a fault has it down. That it has ended by
 * itself, though it had been ready, is reported.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, type Program, type Running, run } from '../../local/processes/program.js';
import { startWait } from './patience.js';
import { signalTree } from './process-tree.js';

export type Part = {
  name: string;
  pid: () => number | undefined;
  isReady: () => Promise<boolean>;
  /** kill -9, and down until `up`. */
  kill: () => Promise<void>;
  /** Asks it to stop, and down until `up`. */
  stop: () => Promise<void>;
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
/** By when it is killed here, where the machine is busy. */
const STOP_CAP_MS = 300_000;

export function startPart({ name, program, surprised }: PartOptions): Part {
  const state = { wanted: true, isOver: false, mayEnd: false, variables: {} as NodeJS.ProcessEnv };
  let now: { running: Running; program: Program; isReady: boolean } | undefined;
  const keepUp = async (): Promise<void> => {
    while (!state.isOver) {
      if (!state.wanted) {
        await sleep(LOOK_MS);
        continue;
      }
      const made = await program();
      if (!state.wanted) continue;
      const current = { ...made, env: { ...made.env, ...state.variables } };
      const mine = { running: run(current), program: current, isReady: false };
      now = mine;
      const exit = await mine.running.exited;
      now = undefined;
      if (state.wanted && mine.isReady && !state.mayEnd) surprised(`${name} has ended by itself (${describe(exit)})`);
      if (state.wanted) await sleep(START_AGAIN_MS);
    }
  };
  const keptUp = keepUp().catch((err: unknown) => surprised(`${name} cannot be started: ${(err as Error).message}`));
  const end = async (how: (running: Running) => unknown) => {
    state.wanted = false;
    if (!now) return;
    const { running } = now;
    await how(running);
    await running.exited;
  };
  const kill = () => end((running) => running.kill());
  return {
    name,
    pid: () => now?.running.pid,
    isReady: async () => {
      const asked = now;
      const answer = (await asked?.program.isReady().catch(() => false)) === true && asked === now;
      if (asked && answer) asked.isReady = true;
      return answer;
    },
    kill,
    stop: async () => {
      const wait = startWait(STOP_LIMIT_MS, STOP_CAP_MS);
      await end((running) => running.stop(STOP_CAP_MS));
      const why = wait.over();
      if (why !== undefined) surprised(`${name} did not stop: ${why}`);
    },
    up: () => {
      state.wanted = true;
    },
    pause: () => signalTree(now?.running.pid, 'SIGSTOP'),
    resume: () => signalTree(now?.running.pid, 'SIGCONT'),
    vary: (variables) => {
      state.variables = variables;
    },
    mayEnd: (isSo) => {
      state.mayEnd = isSo;
    },
    retire: async () => {
      state.isOver = true;
      await kill();
      await keptUp;
    },
  };
}
