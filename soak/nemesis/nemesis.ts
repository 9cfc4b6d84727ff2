/** The nemesis: begins each fault when its time has come, takes it back after a while, and holds what is harmed for itself meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationLog } from '../operation-log.js';
import { type Fault, type FaultKind, type OwingTarget, SERVICES } from '../plan/faults.js';
import type { Installation } from '../world/installation.js';
import { within } from '../world/waiting.js';
import type { Begin } from './act.js';
import { endGatewayFaults, gateway, lateRefundFailure, strangers } from './gateway.js';
import { clockJump } from './clock-jump.js';
import { consumer, link } from './network.js';
import { owing } from './owing.js';
import { clock, deploy, kill, pause, promote, restart } from './processes.js';
import { connections, diskFull, openTransaction, rowLocked, sessionKilled } from './resources.js';

const FAULTS: Record<FaultKind, Begin> = {
  kill,
  pause,
  restart,
  promote,
  deploy,
  clock,
  'clock-jump': clockJump,
  link,
  consumer,
  owing,
  gateway,
  'late-refund-failure': lateRefundFailure,
  strangers,
  connections,
  'session-killed': sessionKilled,
  'row-locked': rowLocked,
  'open-transaction': openTransaction,
  'disk-full': diskFull,
};

/** A rolling deployment beside other faults takes longest. */
const LIMIT_MS = 300_000;

/** `missed`: there was nothing to harm. `failed`: it could not be done, as its neighbour was harmed already. */
export type FaultResult = Fault & {
  became: 'done' | 'missed' | 'failed';
  why?: string;
  beganMs: number;
  endedMs: number;
};
export type Nemesis = {
  /** Begins what is due when so many operations have begun. */
  at: (operations: number) => void;
  /** How many are under way, or wait for what they harm. */
  underWay: () => number;
  /** Begins the rest, and waits for all. */
  finish: () => Promise<void>;
  results: () => readonly FaultResult[];
};

export function createNemesis(around: Installation, schedule: readonly Fault[], log: OperationLog): Nemesis {
  const held = new Map<string, Promise<void>>();
  const results: FaultResult[] = [];
  const running = new Set<Promise<void>>();
  let next = 0;

  const carryOut = async (fault: Fault): Promise<void> => {
    const beganMs = log.nowMs();
    const ended = (became: FaultResult['became'], why?: string) => {
      const result = { ...fault, became, ...(why !== undefined && { why }), beganMs, endedMs: log.nowMs() };
      results.push(result);
      log.note({ phase: 'fault-ended', ...result });
    };
    if (fault.target === 'nats' && !around.parts.has('nats')) return ended('missed');
    log.note({ phase: 'fault', ...fault });
    try {
      const heal = await within(nameOf(fault), LIMIT_MS, FAULTS[fault.kind](around, fault));
      if (!heal) return ended('missed');
      await sleep(fault.forMs);
      await within(`the end of ${nameOf(fault)}`, LIMIT_MS, heal());
      ended('done');
    } catch (err) {
      ended('failed', (err as Error).message);
    }
  };

  /** One after the other of those that harm the same. */
  const begin = (fault: Fault) => {
    const harmed = harmedBy(fault);
    const before = Promise.all(harmed.map((name) => held.get(name)));
    const work = before.then(() => carryOut(fault));
    for (const name of harmed) held.set(name, work);
    running.add(work);
    void work.finally(() => running.delete(work));
  };

  return {
    at: (operations) => {
      for (let fault = schedule[next]; fault && fault.atOperation <= operations; fault = schedule[++next]) begin(fault);
    },
    underWay: () => running.size,
    finish: async () => {
      for (let fault = schedule[next]; fault; fault = schedule[++next]) begin(fault);
      while (running.size > 0) await Promise.all(running);
      for (const laid of around.links.values()) laid.heal();
      for (const part of around.parts.values()) {
        part.resume();
        part.up();
      }
      around.consumer.trouble(undefined);
      await endGatewayFaults(around);
    },
    results: () => results,
  };
}

const nameOf = ({ kind, target }: Fault): string => `${kind} ${target}`;

const OF_A_PART: ReadonlySet<FaultKind> = new Set(['kill', 'pause', 'restart', 'disk-full', 'clock', 'clock-jump']);

function harmedBy({ kind, target }: Fault): string[] {
  if (kind === 'deploy') return [...SERVICES];
  if (kind === 'owing') {
    const [part, destination] = target.split(' ') as OwingTarget;
    return [part, ...(destination === 'nats' ? ['link relay-nats', 'link all-nats'] : ['consumer'])];
  }
  // What ends all sessions, or takes all, would end the copying.
  if (kind === 'promote') return [target, 'session-killed', 'connections'];
  if (kind === 'gateway') return ['faults of the gateway'];
  if (kind === 'link') return [`link ${target.split(' ')[0]}`];
  if (OF_A_PART.has(kind)) return [target];
  return [kind];
}
