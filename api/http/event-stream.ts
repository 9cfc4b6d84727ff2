/**
 * Events as a stream of Server-Sent Events: those that are stored, then each as it is stored, until the client goes, its token
 * expires, there is no more to come or the server stops. https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { slowReadersClosed, streamsOpen, streamsRefused } from '../metrics.js';
import { isRefused, type Place, refusedPlace } from '../waiting/places.js';

/** Between the comments that keep proxies from cutting an idle stream; most cut after 30 s or more. */
const HEARTBEAT_EVERY_MS = 15_000;
/** How long a reader may take for what is written at once; it resumes with Last-Event-ID. */
const SLOW_READER_LIMIT_MS = 30_000;

export const wantsStream = (request: FastifyRequest): boolean =>
  request.method === 'GET' && // a HEAD would wait for ever for a body that never comes
  (request.headers.accept ?? '').split(',').some((type) => type.trim().toLowerCase().startsWith('text/event-stream'));

export function lastEventId(request: FastifyRequest): string | undefined {
  const id = request.headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id : undefined;
}

/**
 * What a stream sends, piece by piece, until `signal` aborts. Its first piece comes at once, whether there is an event or not:
 * what fails before is answered with a problem. Without any piece the answer is 204, on which no EventSource connects again.
 */
export type StreamContent = (signal: AbortSignal, place: Place) => AsyncGenerator<string | Uint8Array, void>;

/** @param customerId whose events these are, if a service asks and it is known already */
export async function streamEvents(
  deps: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  content: StreamContent,
  customerId?: string,
): Promise<FastifyReply> {
  const place = takePlace(deps, request, customerId);
  const { signal, end } = deps.waiting.beginLifetime(reply);
  signal.addEventListener('abort', () => place.giveBack());
  const pieces = content(signal, place);
  try {
    const first = await pieces.next();
    if (first.done) return reply.code(204).send();
    await send(deps, request, reply, signal, first.value, pieces);
  } finally {
    end();
    place.giveBack();
  }
  return reply;
}

/** Before any statement. */
function takePlace({ waiting }: ApiDependencies, { caller }: FastifyRequest, customerId: string | undefined): Place {
  const place = waiting.streams.take(caller);
  const refusal = isRefused(place) ? place : customerId === undefined ? undefined : place.countFor(customerId);
  if (!isRefused(place) && !refusal) return place;
  if (!isRefused(place)) place.giveBack();
  streamsRefused.inc();
  throw refusedPlace(refusal as NonNullable<typeof refusal>, 'event streams');
}

async function send(
  { heartbeatEveryMs = HEARTBEAT_EVERY_MS, slowReaderLimitMs = SLOW_READER_LIMIT_MS }: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  signal: AbortSignal,
  first: string | Uint8Array,
  pieces: AsyncGenerator<string | Uint8Array, void>,
): Promise<void> {
  const { raw } = reply;
  beginResponse(request, reply);
  streamsOpen.inc();
  const heartbeat = setInterval(() => {
    if (!raw.writableNeedDrain) raw.write(': still here\n\n');
  }, heartbeatEveryMs);
  let keepsUp = true;
  try {
    keepsUp = await write(reply, signal, first, slowReaderLimitMs);
    while (keepsUp && !signal.aborted) {
      const { done, value } = await pieces.next();
      if (done) break;
      keepsUp = await write(reply, signal, value, slowReaderLimitMs);
    }
  } catch (err) {
    // The client sees the stream end and resumes with Last-Event-ID.
    request.log.warn({ err }, 'an event stream broke');
  } finally {
    clearInterval(heartbeat);
    streamsOpen.dec();
    if (!keepsUp) slowReadersClosed.inc();
    if (!keepsUp || raw.writableNeedDrain)
      request.raw.socket.destroy(); // it would not take the end either
    else raw.end();
    await pieces.return();
  }
}

function beginResponse(request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  request.releaseSlot();
  request.noteRead();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
}

/** A slow reader slows its own stream down instead of filling our memory. @returns false if it is too slow */
function write(
  { raw }: FastifyReply,
  signal: AbortSignal,
  piece: string | Uint8Array,
  limitMs: number,
): Promise<boolean> | boolean {
  if (signal.aborted || raw.write(piece)) return true;
  return new Promise((resolve) => {
    const end = (inTime: boolean) => {
      clearTimeout(timer);
      raw.off('drain', drained);
      signal.removeEventListener('abort', drained);
      resolve(inTime);
    };
    const drained = () => end(true);
    const timer = setTimeout(() => end(false), limitMs);
    raw.on('drain', drained);
    signal.addEventListener('abort', drained);
  });
}
