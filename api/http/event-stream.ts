/**
 * Events as a stream of Server-Sent Events: those that are stored, then each as it is stored, until the client goes or the
 * server stops. https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type StoredEvent, toCloudEvent } from '../../contracts/events.js';
import type { ApiDependencies } from '../dependencies.js';
import { whenResponseEnds } from './disconnects.js';

const BATCH_MAX = 500;
/** Characters of a stream that are written at once, about. */
const CHUNK_LENGTH = 32_768;
/** Between the comments that keep proxies from cutting an idle stream; most cut after 30 s or more. */
const HEARTBEAT_EVERY_MS = 15_000;

export const wantsStream = (request: FastifyRequest): boolean =>
  request.method === 'GET' && // a HEAD would wait for ever for a body that never comes
  (request.headers.accept ?? '').split(',').some((type) => type.trim().toLowerCase().startsWith('text/event-stream'));

export function lastEventId(request: FastifyRequest): string | undefined {
  const id = request.headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id : undefined;
}

type Stream<E extends StoredEvent, P> = {
  from: P;
  read: (after: P, limit: number) => Promise<E[]>;
  placeOf: (event: E) => P;
  idOf: (event: E) => string;
  /** The order whose events these are; undefined = every order's. */
  orderId?: string;
};

/** Writes events until the client goes or the server stops. */
export async function streamEvents<E extends StoredEvent, P>(
  { orderChanges, stopping, heartbeatEveryMs = HEARTBEAT_EVERY_MS }: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  { from, read, placeOf, idOf, orderId }: Stream<E, P>,
): Promise<FastifyReply> {
  const gone = new AbortController();
  whenResponseEnds(reply, () => gone.abort());
  const ended = AbortSignal.any([gone.signal, stopping]);
  let place = from;
  let events = await read(place, BATCH_MAX); // before the headers: what fails here can still be answered with a problem

  reply.hijack();
  request.releaseSlot();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  reply.raw.write('retry: 1000\n\n');
  const heartbeat = setInterval(() => reply.raw.write(': still here\n\n'), heartbeatEveryMs);
  let change: Promise<void> | undefined;
  try {
    while (!ended.aborted) {
      for (const chunk of inChunks(events, idOf)) await write(reply, ended, chunk);
      const last = events.at(-1);
      if (last) place = placeOf(last);
      if (events.length < BATCH_MAX && change) {
        await change;
        change = undefined;
      }
      // Registered before the read, so that nothing falls between the two; and once, however long the catching up takes.
      change ??= orderChanges.next({ signal: ended, ...(orderId !== undefined && { orderId }) });
      if (!ended.aborted) events = await read(place, BATCH_MAX);
    }
  } catch (err) {
    // The client sees the stream end and resumes with Last-Event-ID.
    request.log.warn({ err }, 'an event stream broke');
  } finally {
    clearInterval(heartbeat);
    reply.raw.end();
  }
  return reply;
}

/** A write per event costs more than the event; a write of all of them, each of which may be 10 KB, too much memory. */
function* inChunks<E extends StoredEvent>(events: E[], idOf: (event: E) => string): Generator<string> {
  let chunk = '';
  for (const event of events) {
    chunk += `id: ${idOf(event)}\nevent: ${event.type}\ndata: ${JSON.stringify(toCloudEvent(event))}\n\n`;
    if (chunk.length >= CHUNK_LENGTH) {
      yield chunk;
      chunk = '';
    }
  }
  if (chunk !== '') yield chunk;
}

async function write(reply: FastifyReply, ended: AbortSignal, chunk: string): Promise<void> {
  if (ended.aborted) return;
  const room = reply.raw.write(chunk);
  // A slow reader slows its own stream down instead of filling our memory.
  if (!room && !ended.aborted) {
    await once(reply.raw, 'drain', { signal: ended }).catch(() => undefined); // gone or stopping: the loop sees it
  }
}
