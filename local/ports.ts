/** Ports of this machine: is one free, and whose fault is it if not. */
import { connect, createServer } from 'node:net';
import { SetupError } from './say.mjs';

export type PortUse = { variable: string; port: number; host: string; what: string };

/** @throws SetupError that names every port that cannot be had, and the variable that moves it */
export async function requireFreePorts(uses: PortUse[]): Promise<void> {
  const problems = uses.flatMap((use, index) => {
    const earlier = uses.slice(0, index).find((other) => other.port === use.port);
    return earlier ? [`Port ${use.port} is asked for twice, by ${earlier.variable} and by ${use.variable}.`] : [];
  });
  for (const { use, refusal } of await Promise.all(uses.map(async (use) => ({ use, refusal: await refusalOf(use) })))) {
    if (refusal === 'EACCES') problems.push(`Port ${use.port} (${use.variable}, ${use.what}) needs more rights.`);
    else if (refusal === 'EADDRNOTAVAIL') problems.push(`This machine has no address ${use.host} (HOST).`);
    else if (refusal !== undefined) problems.push(`Port ${use.port} (${use.variable}, ${use.what}) is taken.`);
  }
  if (problems.length === 0) return;
  const example = uses[0] === undefined ? '' : `, e.g. ${uses[0].variable}=${uses[0].port + 1000} npm start`;
  throw new SetupError(
    `${problems.join('\n')}\nStop the program that has it (\`lsof -i :<port>\` names it), or set the variable to another port${example}.`,
  );
}

async function refusalOf({ port, host }: PortUse): Promise<string | undefined> {
  // Listening on 127.0.0.1 may succeed beside a program that listens on all addresses; then connecting does, too.
  return (await canConnect(port, host)) ? 'EADDRINUSE' : await listenError(port, host);
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

/** @returns a port that is free now; nobody reserves it */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(address)));
    });
  });
}
