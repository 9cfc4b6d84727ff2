/**
 * When a response ends, or its client has disconnected. A response's own `close` is not enough: of requests that were
 * pipelined behind another one, responses whose turn has not come are not notified that the connection has been closed.
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

/** Calls `act` once: when the response is complete, or when it can no longer be. */
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
