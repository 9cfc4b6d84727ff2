/**
 * What processes have used, as the operating system counts it: CPU time including that of children that have ended, and
 * resident memory. Linux only.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Process id → the name of the program that it is. Its descendants count with it, unless they have a name of their own. */
export type Roots = Map<number, string>;

/** `getconf CLK_TCK`: 100 on every Linux that Node runs on. */
const MS_PER_TICK = 10;
const BYTES_PER_KIB = 1024;

type Stat = { parent: number; cpuMs: number };

/**
 * @param except processes that are the measurer's own, e.g. its database session
 * @returns CPU milliseconds since each program's start, by name
 */
export function cpuByName(roots: Roots, except: ReadonlySet<number> = new Set()): Map<string, number> {
  const used = new Map<string, number>();
  for (const [name, { cpuMs }] of namedProcesses(roots, except)) used.set(name, (used.get(name) ?? 0) + cpuMs);
  return used;
}

/** @returns resident mebibytes by name; pages that several processes share, as Postgres' do, are counted once */
export function memoryByName(roots: Roots): Map<string, number> {
  const used = new Map<string, number>();
  for (const [name, , pid] of namedProcesses(roots, new Set())) {
    used.set(name, (used.get(name) ?? 0) + proportionalBytes(pid) / 2 ** 20);
  }
  return used;
}

/** @returns CPU milliseconds that the whole machine has spent since its boot, and that were taken from it by its host */
export function machineCpu(): { busyMs: number; stolenMs: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = line.split(/\s+/).slice(1).map(Number);
  return { busyMs: (user + nice + system + irq + softirq) * MS_PER_TICK, stolenMs: stolen * MS_PER_TICK };
}

function namedProcesses(roots: Roots, except: ReadonlySet<number>): [name: string, stat: Stat, pid: number][] {
  const stats = readStats();
  return [...stats].flatMap(([pid, stat]) => {
    const name = except.has(pid) ? undefined : nameOf(pid, roots, stats);
    return name === undefined ? [] : [[name, stat, pid] as [string, Stat, number]];
  });
}

function nameOf(pid: number, roots: Roots, stats: Map<number, Stat>): string | undefined {
  for (let at = pid; at > 0; at = stats.get(at)?.parent ?? 0) {
    const name = roots.get(at);
    if (name !== undefined) return name;
  }
  return undefined;
}

function readStats(): Map<number, Stat> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return new Map(
    pids.flatMap((pid) => {
      const text = read(`/proc/${pid}/stat`);
      if (text === undefined) return []; // it has ended since it was listed
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number); // the name before it may contain anything
      const [parent = 0, ticks] = [fields[1], fields.slice(11, 15)]; // utime, stime, and those of children that were reaped
      return [[Number(pid), { parent, cpuMs: ticks.reduce((total, n) => total + n, 0) * MS_PER_TICK }] as const];
    }),
  );
}

function proportionalBytes(pid: number): number {
  const rollup = read(`/proc/${pid}/smaps_rollup`) ?? '';
  const resident = /^Pss:\s+(\d+) kB/m.exec(rollup) ?? /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? '');
  return Number(resident?.[1] ?? 0) * BYTES_PER_KIB;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
