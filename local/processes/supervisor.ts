/**
 * Supervisor: starts programs, starts again those that die, stops all in order. It knows nothing of what they do.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { safely, tell } from './guard.js';
import type { Register } from './leftovers.js';
import { describe, type Exit, lastLines, type Program, type Running, run, untilReady } from './program.js';
import { say } from '../say.mjs';

/** The order of stopping; what the earlier ones need, the later ones are. */
export type Tier = 'service' | 'sandbox' | 'server';

export type Supervisor = {
  /** Resolves when it is ready; from then on it is kept running. @throws SetupError if it does not get ready */
  start: (tier: Tier, program: Program) => Promise<void>;
  /** Stops what runs of a tier and starts it on the code of now; resolves when it is ready. @throws SetupError if it does not get ready */
  restart: (tier: Tier) => Promise<void>;
  list: () => { name: string; pid: number | undefined }[];
  /** Asks everything to stop, in order; what does not stop in time is killed. Resolves when all are gone. */
  stop: () => Promise<void>;
  kill: () => Promise<void>;
};

type Member = { tier: Tier; program: Program; running: Running; restart: Restart };
/** Whether `restart` wants it to start again, and waits until it has begun to. */
type Restart = { wanted: AbortController; begun: () => void };
const restartable = (): Restart => ({ wanted: new AbortController(), begun: () => {} });

/** Long enough to see that it died, short enough not to be waited for. */
const RESTART_AFTER_MS = 1_000;
/** Whatever dies again and again gets pauses up to this. */
const RESTART_AFTER_MAX_MS = 10_000;
/** Whatever has lived this long has not died of its start. */
const STEADY_MS = 10_000;

/** All that `npm start` may take to end, and what of that each tier may. A service's own limit is 15 s. */
const STOP_MS = 19_000;
const STOP_LIMIT_MS: Record<Tier, number> = { service: 14_000, sandbox: 5_000, server: 5_000 };
/** Kept for the servers, whatever the tiers before them have used up. */
const RESERVED_MS = 2_500;
/** The kernel needs a moment; a process that hangs in it would need for ever. */
const KILL_LIMIT_MS = 1_000;

export function createSupervisor(register: Register): Supervisor {
  const members: Member[] = [];
  const stopping = new AbortController();

  const launch = (program: Program): Running => {
    const running = run(program);
    const { pid } = running;
    if (pid !== undefined) {
      safely('register', register.add)(program.name, pid, program.stopSignal);
      void running.exited.then(safely('register', () => register.remove(pid)));
    }
    return running;
  };

  const keepRunning = async (member: Member): Promise<void> => {
    let pauseMs = RESTART_AFTER_MS;
    while (!stopping.signal.aborted) {
      const startedAt = performance.now();
      const exit = await member.running.exited;
      if (stopping.signal.aborted) return;
      const hasLived = performance.now() - startedAt >= STEADY_MS;
      const isLoop = !hasLived && pauseMs > RESTART_AFTER_MS;
      if (hasLived) pauseMs = RESTART_AFTER_MS;
      const isWanted = member.restart.wanted.signal;
      if (!isWanted.aborted) {
        say(endNotice(member, exit, pauseMs, isLoop));
        await sleep(pauseMs, undefined, { signal: AbortSignal.any([stopping.signal, isWanted]) }).catch(
          () => undefined,
        );
        if (stopping.signal.aborted) return;
      }
      try {
        member.running = launch(member.program);
      } catch (err) {
        tell(`start of ${member.program.name}`, err); // the disk is full, say: what has ended has still ended, and comes round again
        if (isWanted.aborted) await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, RESTART_AFTER_MAX_MS);
        continue;
      }
      if (isWanted.aborted) {
        pauseMs = RESTART_AFTER_MS;
        member.restart.begun();
      } else {
        pauseMs = Math.min(pauseMs * 2, RESTART_AFTER_MAX_MS);
        if (member.running.pid !== undefined) say(`${member.program.name} runs again (process ${member.running.pid}).`);
      }
    }
  };

  /** Leaves the starting to `keepRunning`, so that nothing is ever started twice. */
  const restart = async (member: Member): Promise<void> => {
    await new Promise<void>((begun) => {
      member.restart.begun = begun;
      member.restart.wanted.abort();
      void member.running.stop(STOP_LIMIT_MS[member.tier]);
    });
    member.restart = restartable();
    await untilReady(member.program, member.running);
  };

  return {
    start: async (tier, program) => {
      if (stopping.signal.aborted) return;
      const member = { tier, program, running: launch(program), restart: restartable() };
      members.push(member);
      await untilReady(program, member.running);
      safely('keepRunning', keepRunning)(member);
    },
    restart: async (tier) => {
      await Promise.all(members.filter((member) => member.tier === tier).map(restart));
    },
    list: () => members.map(({ program, running }) => ({ name: program.name, pid: running.pid })),
    stop: async () => {
      stopping.abort();
      const deadline = performance.now() + STOP_MS;
      for (const tier of ['service', 'sandbox', 'server'] as const) {
        const left = deadline - performance.now() - (tier === 'server' ? 0 : RESERVED_MS);
        const limitMs = Math.max(0, Math.min(STOP_LIMIT_MS[tier], left));
        await Promise.all(members.filter((member) => member.tier === tier).map(({ running }) => running.stop(limitMs)));
      }
    },
    kill: async () => {
      stopping.abort();
      for (const { running } of members) running.kill();
      await Promise.race([Promise.all(members.map(({ running }) => running.stop(0))), sleep(KILL_LIMIT_MS)]);
    },
  };
}

/** @param first what is done before everything is asked to stop, or killed; it cannot keep either from happening */
export const stoppingFirst = (supervisor: Supervisor, first: () => Promise<void>): Supervisor => ({
  ...supervisor,
  stop: async () => {
    await first().catch((err: unknown) => tell('stop', err));
    await supervisor.stop();
  },
});

function endNotice({ program, running }: Member, exit: Exit, pauseMs: number, isLoop: boolean): string {
  const process = running.pid === undefined ? '' : ` (process ${running.pid})`;
  const log = isLoop ? lastLines(program.logFile) : '';
  return `${program.name}${process} ended: ${describe(exit)}. It starts again in ${pauseMs / 1000} s.${log}`;
}
