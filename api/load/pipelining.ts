/**
 * Pipelining: the requests of one connection are worked on one after another, in the order in which they are answered anyway.
 * Otherwise a few connections would hold hundreds of requests in work at a time. While some wait, nothing more is read from
 * their connection.
 */
import type { Socket } from 'node:net';
import type { Api } from '../dependencies.js';
import { whenResponseEnds } from '../http/disconnects.js';

/** What still waits; its first entry is the next. */
type Line = (() => void)[];

/** @param pipelinedMax requests that may wait on a connection; one with more is closed. A read of 64 KB brings some 150. */
export function queuePipelined(app: Api, pipelinedMax: number): void {
  /** A connection is in here while one of its requests is in work. */
  const lines = new WeakMap<Socket, Line>();
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const begin = () => {
      whenResponseEnds(reply, () => goOn(socket, lines));
      done();
    };
    const line = lines.get(socket);
    if (!line) {
      lines.set(socket, []);
      return begin();
    }
    if (line.length >= pipelinedMax) return void socket.destroy();
    line.push(begin);
    socket.pause();
  });
}

function goOn(socket: Socket, lines: WeakMap<Socket, Line>): void {
  const line = lines.get(socket);
  if (!line || socket.destroyed) return; // what waits on it waits for nobody, and is collected with it
  const next = line.shift();
  if (line.length === 0) socket.resume();
  if (next) next();
  else lines.delete(socket);
}
