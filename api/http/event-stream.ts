/**
 * Answers that are streamed: documents that are too large to be made at once, and events, as Server-Sent Events: those that are stored, then each as it is stored, until the client goes, its token
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

/** How a stream looks on the wire. */
type Form = {
  type: string;
  /** Says that it is still there. */
  heartbeat: string;
  /** Whether its end says that nothing is missing: then one that breaks is cut. */
  isWhole: boolean;
};
const EVENTS: Form = { type: 'text/event-stream; charset=utf-8', heartbeat: ': still here\n\n', isWhole: false };
/** White space between a document's members, or orders, is none of it. */
const DOCUMENT: Form = { type: 'application/json; charset=utf-8', heartbeat: '\n', isWhole: true };

/** @param customerId whose events these are, if a service asks and it is known already */
export const streamEvents = (
  deps: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  content: StreamContent,
  customerId?: string,
): Promise<FastifyReply> => stream(deps, request, reply, { content, customerId, form: EVENTS });

/** A JSON document, in pieces that end between its members. @param customerId whose it is */
export const streamDocument = (
  deps: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  content: StreamContent,
  customerId: string,
): Promise<FastifyReply> => stream(deps, request, reply, { content, customerId, form: DOCUMENT });

type Streamed = { content: StreamContent; customerId: string | undefined; form: Form };

async function stream(
  deps: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  { content, customerId, form }: Streamed,
): Promise<FastifyReply> {
  const place = takePlace(deps, request, customerId);
  const { signal, end } = deps.waiting.beginLifetime(reply);
  signal.addEventListener('abort', () => place.giveBack());
  const pieces = content(signal, place);
  try {
    const first = await pieces.next();
    if (first.done) return reply.code(204).send();
    await send(deps, request, reply, { signal, form }, first.value, pieces);
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
  { signal, form }: { signal: AbortSignal; form: Form },
  first: string | Uint8Array,
  pieces: AsyncGenerator<string | Uint8Array, void>,
): Promise<void> {
  const { raw } = reply;
  beginResponse(request, reply, form);
  streamsOpen.inc();
  const heartbeat = setInterval(() => {
    if (!raw.writableNeedDrain) raw.write(form.heartbeat);
  }, heartbeatEveryMs);
  let keepsUp = true;
  let isDone = false;
  let bytes = Buffer.byteLength(first);
  try {
    keepsUp = await write(reply, signal, first, slowReaderLimitMs);
    while (keepsUp && !signal.aborted) {
      const { done, value } = await pieces.next();
      isDone = done === true;
      if (done) break;
      bytes += Buffer.byteLength(value);
      keepsUp = await write(reply, signal, value, slowReaderLimitMs);
    }
  } catch (err) {
    // The client sees the stream end and resumes with Last-Event-ID; of a document, that it is cut.
    request.log.warn({ err }, 'a stream broke');
  } finally {
    clearInterval(heartbeat);
    streamsOpen.dec();
    if (!keepsUp) slowReadersClosed.inc();
    if (form.isWhole) request.payForBytes(bytes);
    if (!keepsUp || raw.writableNeedDrain || (form.isWhole && !isDone))
      request.raw.socket.destroy(); // it would not take the end either
    else raw.end();
    await pieces.return();
  }
}

function beginResponse(request: FastifyRequest, reply: FastifyReply, { type }: Form): void {
  reply.hijack();
  request.releaseSlot();
  request.noteRead();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  reply.raw.writeHead(200, {
    'content-type': type,
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
