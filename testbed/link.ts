/** A link: the network between a process and what it talks to, with the network's faults. Bytes only; it knows no protocol. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * - `slow`   a second on the way there and one on the way back, ± half
 * - `silent` nothing arrives any more, neither way, and neither side learns of it; a new connection gets no answer
 * - `deaf`   requests arrive, answers do not
 * - `reset`  connections are reset, new ones at once
 * - `half-closed` the far side is told that nothing more is sent, and its answers still arrive; new connections likewise
 *
 * As a firewall that forgets: what was connected during `silent` or `deaf` stays dead after the healing.
 */
export type LinkFault = 'slow' | 'silent' | 'deaf' | 'reset' | 'half-closed';

export type Link = {
  /** host:port */
  address: string;
  fail(fault: LinkFault): void;
  heal(): void;
  /** New connections go to this host:port from now on, as after a failover; those that there are stay as they are. */
  lead(target: string): void;
  stop(): Promise<void>;
};

const DELAY_MS = 1_000;

type Way = 'there' | 'back';
type Pipe = { from: Socket; to: Socket; way: Way; isDead: boolean; last: Promise<void> };

/** @param target host:port */
export async function startLink(target: string): Promise<Link> {
  let { hostname, port } = new URL(`tcp://${target}`);
  const pipes = new Set<Pipe>();
  let fault: LinkFault | undefined;
  const lay = (from: Socket, to: Socket, way: Way) => {
    const pipe: Pipe = { from, to, way, isDead: isLost(fault, way), last: Promise.resolve() };
    pipes.add(pipe);
    if (fault === 'half-closed') halfClose(pipe);
    from.on('data', (chunk: Buffer) => {
      if (pipe.isDead) return;
      const delay = fault === 'slow' ? DELAY_MS * (0.5 + Math.random()) : 0;
      const due = delay > 0 ? new Promise((resolve) => setTimeout(resolve, delay)) : undefined;
      pipe.last = pipe.last.then(async () => {
        await due;
        to.write(chunk);
      });
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      pipes.delete(pipe);
      if (!pipe.isDead) void pipe.last.then(() => to.destroy()); // a dead link passes on no end
    });
  };
  const server = createServer((client) => {
    if (fault === 'reset') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(Number(port), hostname);
    lay(client, upstream, 'there');
    lay(upstream, client, 'back');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    fail: (next) => {
      fault = next;
      for (const pipe of pipes) {
        if (next === 'reset') pipe.from.resetAndDestroy();
        else if (next === 'half-closed') halfClose(pipe);
        else pipe.isDead ||= isLost(next, pipe.way);
      }
    },
    heal: () => {
      fault = undefined;
    },
    lead: (next) => {
      ({ hostname, port } = new URL(`tcp://${next}`));
    },
    stop: async () => {
      for (const { from } of pipes) from.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const isLost = (fault: LinkFault | undefined, way: Way): boolean =>
  fault === 'silent' || (fault === 'deaf' && way === 'back');

function halfClose(pipe: Pipe): void {
  if (pipe.way !== 'there') return;
  pipe.isDead = true;
  pipe.to.end();
}
