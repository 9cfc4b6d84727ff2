/** Ports of this machine: is one free, and whose fault is it if not. */
import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { safely } from './guard.js';
import { tryLock } from './lock.mjs';
import { SetupError } from '../say.mjs';

export type PortUse = { variable: string; port: number; host: string; what: string };

/** @throws SetupError that names every port that cannot be had, and the variable that moves it */
export async function requireFreePorts(uses: PortUse[]): Promise<void> {
  const complaints = await Promise.all(uses.map((use, index) => complaintAbout(use, uses.slice(0, index))));
  const bad = uses.flatMap((use, index) => (complaints[index] === undefined ? [] : [use.variable]));
  if (bad[0] === undefined) return;
  throw new SetupError(
    `${complaints.filter(Boolean).join('\n')}\nStop the program that has the port (\`lsof -i :<port>\` names it), or choose another one: ${bad[0]}=<port> npm start`,
  );
}

async function complaintAbout(use: PortUse, earlier: PortUse[]): Promise<string | undefined> {
  const twin = earlier.find(({ port }) => port === use.port);
  if (twin !== undefined) return `Port ${use.port} is asked for twice: by ${twin.variable} and by ${use.variable}.`;
  const refusal = (await refusalOf(use)) ?? (claim(use.port) ? undefined : 'EADDRINUSE');
  if (refusal === undefined) return undefined;
  if (refusal === 'EADDRINUSE') return `Port ${use.port} (${use.variable}, for ${use.what}) is taken.`;
  return `Port ${use.port} (${use.variable}, for ${use.what}) cannot be opened on ${use.host}: ${refusal}.`;
}

async function refusalOf({ port, host }: Pick<PortUse, 'port' | 'host'>): Promise<string | undefined> {
  // Listening on 127.0.0.1 may succeed beside a program that listens on all addresses; then connecting does, too.
  return (await canConnect(port, host)) ? 'EADDRINUSE' : await listenError(port, host);
}

/**
 * A port is free until somebody listens on it, and two launchers that start together would find the same one: each writes
 * down what it is going to take, for as long as it lives.
 */
function claim(port: number): boolean {
  const { release, owner } = tryLock(join(tmpdir(), `order-saga-ports-${process.getuid?.() ?? 0}`, `${port}`));
  if (release) {
    if (releases.push(release) === 1) process.once('exit', releaseAll);
    return true;
  }
  return owner === process.pid;
}
const releases: (() => void)[] = [];
function releaseAll(): void {
  for (const release of releases) safely('release', release)();
}

function canConnect(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, timeout: 1_000 });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => done(true));
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
 * Ports that matter so little that any will do: whoever reads them is told which.
 * @returns the first `count` that are free from `from` on, `except` these; no other launcher is told the same
 */
export async function firstFreePorts(from: number, count: number, host: string, except: number[]): Promise<number[]> {
  const found: number[] = [];
  for (let port = from; found.length < count && port <= 65_535; port++) {
    if (!except.includes(port) && (await refusalOf({ port, host })) === undefined && claim(port)) found.push(port);
  }
  return found;
}

/**
 * Below the ports that systems give to outgoing connections: what is free there now, nobody takes by accident between our
 * looking and our program's listening.
 */
const PORT_MIN = 15_000;
const PORT_MAX = 32_000;

/** @returns a port of 127.0.0.1 that is free now; nobody reserves it */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_MAX);
    if ((await refusalOf({ port, host: '127.0.0.1' })) === undefined) return port;
  }
}
