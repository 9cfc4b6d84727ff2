/** The attackers' means: connections that ask again as soon as they are answered, and raw ones that do not keep to the rules. */
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What an attack has met, by answer: a status, or how else a request ended. */
export type Seen = Map<string, number>;
export type Attack = { seen: Seen; stop: () => void };

export type Asked = { path: string; method?: string; headers?: Record<string, string>; body?: string };

/** A connection that is cut at once is not opened again at once: the attacker's own processor is not what is measured. */
const REOPEN_AFTER_MS = 100;
/** Strangers have addresses of their own. */
const STRANGER = '127.0.0.2';
const SLOW_EVERY_MS = 1_000;

const count = (seen: Seen, what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);

/** So many connections, each of which asks, reads the whole answer, and asks again. */
export function closedLoop(base: string, connections: number, ask: (n: number) => Asked): Attack {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const seen: Seen = new Map();
  let stopped = false;
  let n = 0;
  const loop = async (): Promise<void> => {
    while (!stopped) {
      const answer = await exchange(base, agent, ask(n++));
      count(seen, answer);
      if (!/^\d+$/.test(answer)) await sleep(REOPEN_AFTER_MS);
    }
  };
  for (let i = 0; i < connections; i++) void loop();
  return {
    seen,
    stop: () => {
      stopped = true;
      agent.destroy();
    },
  };
}

function exchange(base: string, agent: Agent, { path, method = 'GET', headers = {}, body }: Asked): Promise<string> {
  return new Promise((resolve) => {
    const options: RequestOptions = { agent, method, headers };
    const outgoing = request(new URL(path, base), options, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(`${answer.statusCode}`));
      answer.once('error', () => resolve('cut'));
    });
    outgoing.once('error', (err: NodeJS.ErrnoException) => resolve(err.code ?? 'cut'));
    outgoing.end(body);
  });
}

/** So many connections that send `depth` requests at once, and the same again when all are answered (RFC 9112, 9.3.2). */
export function pipelined(base: string, connections: number, depth: number, head: string): Attack {
  return rawConnections(base, connections, (socket, seen) => {
    let open = 0;
    const send = () => {
      open = depth;
      socket.write(head.repeat(depth));
    };
    let rest = '';
    socket.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const status = /^HTTP\/1\.1 (\d{3})/.exec(line)?.[1] ?? /HTTP\/1\.1 (\d{3})/.exec(line)?.[1];
        if (status === undefined) continue;
        count(seen, status);
        if (--open === 0) setImmediate(send);
      }
    });
    send();
  });
}

/** Requests that are never finished: some bytes every second, until the service has enough. */
export const unfinished = (base: string, connections: number, head: string, drip: string): Attack =>
  rawConnections(base, connections, (socket) => {
    socket.write(head);
    const dripping = setInterval(() => socket.write(drip), SLOW_EVERY_MS);
    socket.resume().once('close', () => clearInterval(dripping));
  });

/** Connections on which nothing is ever said. */
export const silent = (base: string, connections: number): Attack =>
  rawConnections(base, connections, (socket) => void socket.resume());

function rawConnections(base: string, connections: number, use: (socket: Socket, seen: Seen) => void): Attack {
  const { hostname, port } = new URL(base);
  const sockets = new Set<Socket>();
  const seen: Seen = new Map();
  let stopped = false;
  const open = (): void => {
    if (stopped) return;
    const socket = connect({ port: Number(port), host: hostname, localAddress: STRANGER });
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('connect', () => {
      count(seen, 'connected');
      use(socket, seen);
    });
    socket.once('close', () => {
      sockets.delete(socket);
      count(seen, 'cut');
      setTimeout(open, REOPEN_AFTER_MS);
    });
  };
  for (let i = 0; i < connections; i++) open();
  return {
    seen,
    stop: () => {
      stopped = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Answers that go on for ever. A stream that ends is opened again. */
export function streams(base: string, connections: number, ask: (n: number) => Asked): Attack {
  const agent = new Agent({ keepAlive: false });
  const seen: Seen = new Map();
  const answers = new Set<IncomingMessage>();
  let stopped = false;
  let n = 0;
  const open = (): void => {
    if (stopped) return;
    const { path, headers = {} } = ask(n++);
    const again = () => setTimeout(open, REOPEN_AFTER_MS);
    const outgoing = request(new URL(path, base), { agent, headers }, (answer) => {
      count(seen, `${answer.statusCode}`);
      answers.add(answer);
      answer.on('error', () => undefined).resume();
      answer.once('close', () => {
        answers.delete(answer);
        again();
      });
    });
    outgoing.once('error', (err: NodeJS.ErrnoException) => {
      count(seen, err.code ?? 'cut');
      again();
    });
    outgoing.end();
  };
  for (let i = 0; i < connections; i++) open();
  return {
    seen,
    stop: () => {
      stopped = true;
      for (const answer of answers) answer.destroy();
    },
  };
}
