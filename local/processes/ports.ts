/** Ports of this machine: whether one is free, and which variable moves it if not. */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { safely } from './guard.js';
import { tryLock } from './lock.mjs';
import { SetupError, say } from '../say.mjs';

export type PortUse = { variable: string; port: number; host: string; what: string };

/** @throws SetupError that names every port that cannot be had, and the variable that moves it */
export async function requireFreePorts(uses: PortUse[]): Promise<void> {
  const complaints = await Promise.all(uses.map((use, index) => complaintAbout(use, uses.slice(0, index))));
  const text = explain(uses, complaints);
  if (text !== undefined) throw new SetupError(text);
}

/** @returns which of these ports another program has, for a program that could not start; undefined if it must have been something else */
export async function explainTakenPorts(uses: PortUse[]): Promise<string | undefined> {
  const refusals = await Promise.all(uses.map(refusalOf));
  return explain(
    uses,
    refusals.map((refusal, index) => refusal && sentenceAbout(uses[index] as PortUse, refusal)),
  );
}

function explain(uses: PortUse[], complaints: (string | undefined)[]): string | undefined {
  const bad = uses.filter((_, index) => complaints[index] !== undefined);
  if (bad[0] === undefined) return undefined;
  const range = outgoingRange();
  const isOutgoing = range !== undefined && bad.some(({ port }) => port >= range.from && port <= range.to);
  return [
    ...complaints.filter(Boolean),
    `Stop the program that has the port (\`lsof -i :<port>\` names it), or choose another one: ${bad[0].variable}=<port> npm start`,
    ...(isOutgoing
      ? [
          `Choose one outside ${range.from} to ${range.to}: those this system gives to outgoing connections, of any program and at any time.`,
        ]
      : []),
  ].join('\n');
}

async function complaintAbout(use: PortUse, earlier: PortUse[]): Promise<string | undefined> {
  const twin = earlier.find(({ port }) => port === use.port);
  if (twin !== undefined) return `Port ${use.port} is asked for twice: by ${twin.variable} and by ${use.variable}.`;
  const refusal = (await refusalAfterTimeWait(use)) ?? (claim(use.port) ? undefined : 'EADDRINUSE');
  return refusal === undefined ? undefined : sentenceAbout(use, refusal);
}

const sentenceAbout = ({ variable, port, host, what }: PortUse, refusal: string): string =>
  refusal === 'EADDRINUSE'
    ? `Port ${port} (${variable}, for ${what}) is taken.`
    : `Port ${port} (${variable}, for ${what}) cannot be opened on ${host}: ${refusal}.`;

/**
 * An outgoing connection keeps its port in TIME-WAIT for a minute after its end. No program has that port then, yet the kernel lets no
 * program listen on it: SO_REUSEADDR, which Node sets, counts only where the connection's socket had it, too.
 */
async function refusalAfterTimeWait(use: PortUse): Promise<string | undefined> {
  const deadline = performance.now() + TIME_WAIT_MAX_MS;
  for (let isFirst = true; ; isFirst = false) {
    const isEnding = isOnlyInTimeWait(use.port); // before the try: it may end in between
    const refusal = await refusalOf(use);
    if (refusal !== 'EADDRINUSE' || !isEnding || performance.now() > deadline) return refusal;
    if (isFirst) {
      say(
        `Port ${use.port} (${use.variable}) was an outgoing connection's, which has ended. The system frees it within a minute: waiting …`,
      );
    }
    await sleep(TIME_WAIT_POLL_MS);
  }
}
/** The kernel's 60 s, and some. */
const TIME_WAIT_MAX_MS = 65_000;
const TIME_WAIT_POLL_MS = 200;
/** TCP_TIME_WAIT, as /proc/net/tcp writes it. */
const TIME_WAIT = '06';

/** @returns false where the system keeps no such list: other systems than Linux let a program listen there */
function isOnlyInTimeWait(port: number): boolean {
  const states = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) =>
    readLines(file).flatMap((line) => {
      const [, local = '', , state = ''] = line.trim().split(/\s+/);
      return Number.parseInt(local.split(':')[1] ?? '', 16) === port ? [state] : [];
    }),
  );
  return states.length > 0 && states.every((state) => state === TIME_WAIT);
}

/** @returns undefined where the system does not publish it as Linux does */
function outgoingRange(): { from: number; to: number } | undefined {
  const [from, to] = (readLines('/proc/sys/net/ipv4/ip_local_port_range')[0] ?? '').split(/\s+/).map(Number);
  return from && to ? { from, to } : undefined;
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

async function refusalOf({ port, host }: Pick<PortUse, 'port' | 'host'>): Promise<string | undefined> {
  // Listening on 127.0.0.1 may succeed beside a program that listens on all addresses; then connecting does, too.
  return (await isListenedOn(port, host)) ? 'EADDRINUSE' : await listenError(port, host);
}

/**
 * A port is free until a program listens on it, and two launchers that start together would find the same one: each writes
 * down which ports it is going to take, for as long as it lives.
 */
function claim(port: number): boolean {
  const owner = reserve('order-saga-ports', port);
  return owner === undefined || owner === process.pid;
}

/** @returns undefined if it is ours from now on, or else the living process (this one, maybe) that has reserved it */
function reserve(folder: 'order-saga-ports' | 'order-saga-free-ports', port: number): number | undefined {
  const { release, owner } = tryLock(join(tmpdir(), `${folder}-${process.getuid?.() ?? 0}`, `${port}`));
  if (release && releases.push(release) === 1) process.once('exit', releaseAll);
  return owner;
}
const releases: (() => void)[] = [];
function releaseAll(): void {
  for (const release of releases) safely('release', release)();
}

/** Whether a program takes connections there. */
export function isListenedOn(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, timeout: 1_000 });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    // Of the ports that it gives to outgoing connections, the system may give us this very one: we then reach ourselves.
    socket.once('connect', () => done(socket.localPort !== port));
    socket.once('error', () => done(false));
    socket.once('timeout', () => done(false));
  });
}

function listenError(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (err: NodeJS.ErrnoException) => resolve(err.code ?? err.message));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/**
 * For ports that matter so little that any will do; the banner shows which.
 * @returns the first `count` that are free from `from` on, `except` these; no other launcher gets the same
 */
export async function firstFreePorts(from: number, count: number, host: string, except: number[]): Promise<number[]> {
  const found: number[] = [];
  for (let port = from; found.length < count && port <= 65_535; port++) {
    if (!except.includes(port) && (await refusalOf({ port, host })) === undefined && claim(port)) found.push(port);
  }
  return found;
}

/**
 * Below the ports that systems give to outgoing connections: what is free there now, no program takes by accident between our
 * look and our program's listening.
 */
const FREE_PORT_MIN = 15_000;
/** Those from here to 32,000 are left to launchers that take the first free ones from a number on. */
export const FREE_PORT_MAX = 28_000;

/** @returns a port of 127.0.0.1 that is free now; no other call gets the same, in any process, for as long as this process lives */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FREE_PORT_MIN, FREE_PORT_MAX);
    if ((await refusalOf({ port, host: '127.0.0.1' })) !== undefined) continue;
    if (reserve('order-saga-free-ports', port) === undefined) return port;
  }
}
