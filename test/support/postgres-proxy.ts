/**
 * A proxy before Postgres that can lose one statement or its answer: the moments at which a process cannot know whether its
 * transaction has committed. It reads just enough of the protocol to tell statements apart.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { type AddressInfo, createServer, connect as openSocket, type Socket } from 'node:net';

/**
 * - `keep`  the statement never reaches Postgres
 * - `mute`  it is carried out, and its answer kept back
 * - `cut`   it is carried out, and the connection is lost before the answer
 */
export type Loss = 'keep' | 'mute' | 'cut';

export type PostgresProxy = {
  /** The database, through this. */
  url: string;
  /** Loses the next statement that contains this text. Resolves when that has happened; with `mute` and `cut`, once it has committed. */
  lose(text: string, loss: Loss): Promise<void>;
  stop(): Promise<void>;
};

type Trap = { text: string; loss: Loss; met: () => void };

/** @param databaseUrl where it leads to */
export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const traps = new Set<Trap>();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = openSocket(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined); // a killed process resets its connections
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    forward(client, upstream, (statement) => {
      const trap = [...traps].find(({ text }) => statement.includes(text));
      if (trap) traps.delete(trap);
      return trap;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    lose: (text, loss) => new Promise((met) => traps.add({ text, loss, met })),
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forward(client: Socket, upstream: Socket, trapOf: (statement: string) => Trap | undefined): void {
  let trapped: Trap | undefined;
  const isKept = () => trapped?.loss === 'keep';
  const read = createReader((statement) => {
    trapped ??= trapOf(statement);
    return !isKept();
  });
  client.on('data', (chunk: Buffer) => {
    if (isKept()) return;
    upstream.write(read(chunk));
    if (isKept()) trapped?.met();
  });
  upstream.on('data', (chunk: Buffer) => {
    if (trapped === undefined) client.write(chunk);
    else if (isReadyForQuery(chunk)) {
      trapped.met();
      if (trapped.loss === 'cut') upstream.destroy();
    }
  });
}

/** A statement that commits by itself has committed when the server is ready for the next. */
const isReadyForQuery = (chunk: Buffer): boolean => chunk.subarray(-6, -1).equals(Buffer.from('Z\0\0\0\x05', 'latin1'));

const TYPE_BYTES = 1;
const LENGTH_BYTES = 4;

/**
 * @param pass is asked of each statement that is to be carried out
 * @returns reads on, and gives what of it may pass: whole messages, up to the first that may not
 */
function createReader(pass: (statement: string) => boolean): (chunk: Buffer) => Buffer {
  const prepared = new Map<string, string>();
  let rest = Buffer.alloc(0);
  let isStarted = false; // the first message has no type
  return (chunk) => {
    const bytes = Buffer.concat([rest, chunk]);
    let at = 0;
    for (;;) {
      const head = isStarted ? TYPE_BYTES : 0;
      if (bytes.length < at + head + LENGTH_BYTES) break;
      const end = at + head + bytes.readInt32BE(at + head);
      if (bytes.length < end) break;
      const body = bytes.toString('latin1', at + head + LENGTH_BYTES, end);
      const type = isStarted ? String.fromCharCode(bytes[at] as number) : '';
      const [first = '', second = ''] = body.split('\0');
      isStarted = true;
      if (type === 'P') prepared.set(first, second);
      const statement = type === 'B' ? prepared.get(second) : type === 'Q' ? first : undefined;
      if (statement !== undefined && !pass(statement)) {
        rest = Buffer.alloc(0);
        return bytes.subarray(0, at);
      }
      at = end;
    }
    rest = Buffer.from(bytes.subarray(at));
    return bytes.subarray(0, at);
  };
}
