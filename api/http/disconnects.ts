/**
 * When a client is gone. A response's own `close` does not tell: of requests that were pipelined behind another one, the
 * responses that have not had their turn on the connection never hear that it has been closed.
 */
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

/** One listener per connection, however many requests are pipelined on it. */
const waiting = new WeakMap<Socket, Set<() => void>>();

function waitingOn(socket: Socket): Set<() => void> {
  const known = waiting.get(socket);
  if (known) return known;
  const acts = new Set<() => void>();
  waiting.set(socket, acts);
  socket.once('close', () => {
    for (const act of acts) act();
  });
  return acts;
}

/** Calls `act` once: when the answer is complete, or when it will never be. */
export function whenResponseEnds({ raw, request }: FastifyReply, act: () => void): void {
  const { socket } = request.raw;
  if (socket.destroyed) {
    act();
    return;
  }
  const acts = waitingOn(socket);
  const over = () => {
    acts.delete(over);
    raw.off('close', over);
    act();
  };
  acts.add(over);
  raw.once('close', over);
}
