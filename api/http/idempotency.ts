/**
 * `Idempotency-Key` on a POST: the request's work is done once, and its answer given again. A route says so in one line,
 * `return answerOnce(deps, request, reply, async () => ({ status, body }))`, **after** it has checked that the caller may do
 * this, so that an answer is never replayed to a caller who may no longer see it.
 *
 * The key belongs to the caller and to the route as a pattern; the concrete path and the body are what was asked. So one key
 * on two orders is refused as a mistake (422), not taken as two requests.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { v7 as uuidv7 } from 'uuid';
import type { Database, Statements } from '../../domain/database.js';
import {
  claimKey,
  type Earlier,
  earlierAnswer,
  extendClaim,
  isOutOfKeys,
  type HeldClaim,
  keepAnswer,
  releaseClaim,
} from '../../domain/idempotency.js';
import type { KeyClaim } from '../../domain/kept-claims.js';
import type { ApiDependencies } from '../dependencies.js';
import { fingerprint, parseIdempotencyKey } from './headers.js';
import { Problem } from './problems.js';

/** How long a key stays locked when the process that held it has died: what a client then waits at most. */
const LOCK = { lockMs: 15_000, extendEveryMs: 5_000 };
/** Between a claim that failed and the look at its holder, the holder may have released it. */
const CLAIMS_MAX = 5;
const RETRY_AFTER_S = 1;

/** How an answer is kept: without something, which is put back when it is given again. */
export type Keeping = { strip(body: unknown): unknown; restore(kept: string): Promise<string> };

/** Keeps an answer in the transaction that makes it true. @throws Problem if a repetition of the request has the key by now: nothing is to be done */
export type KeepIn = (tx: Statements, answer: { status: number; body: unknown }) => Promise<void>;

/**
 * @param act does the work, which must be safe to repeat; what it throws is answered and not kept. Its argument is the same
 *   whenever it is repeated under the same key, so that Temporal, too, recognizes a repetition; undefined without a key. Work that
 *   is not safe to repeat calls `keepIn` in its own transaction, so that the key and what it did are one
 * @param about the order whose keys are counted, and how its answer is kept if that is not as it is given
 */
export async function answerOnce(
  { db, idempotencyTtlMs, keyLock = LOCK }: Pick<ApiDependencies, 'db' | 'idempotencyTtlMs' | 'keyLock'>,
  request: FastifyRequest,
  reply: FastifyReply,
  act: (onceId: string | undefined, keepIn: KeepIn) => Promise<{ status: number; body: unknown }>,
  { keep, ...about }: Pick<KeyClaim, 'orderId'> & { keep?: Keeping } = {},
): Promise<FastifyReply> {
  const key = claimOf(request, idempotencyTtlMs);
  const claim = key && { ...key, ...about };
  const held = claim && (await claimOrReplay(db, claim, keyLock.lockMs));
  if (!held) {
    const { status, body } = await act(undefined, async () => undefined);
    return reply.code(status).send(body);
  }
  if ('outcome' in held)
    return reply
      .code(held.status)
      .header('idempotent-replayed', 'true')
      .type(JSON_TYPE)
      .send(keep ? await keep.restore(held.response) : held.response);
  const extending = setInterval(
    () => void extendClaim(db, held).catch((err: unknown) => request.log.warn({ err }, 'could not extend a claim')),
    keyLock.extendEveryMs,
  );
  let isKept = false;
  const asKept = (body: unknown) => reply.serialize(keep ? keep.strip(body) : body) as string;
  const keepIn: KeepIn = async (tx, { status, body }) => {
    reply.code(status); // its schema is the one that the answer is written by
    if (!(await keepAnswer(tx, held, { status, response: asKept(body) }))) throw inProgress();
    isKept = true;
  };
  try {
    const { status, body } = await act(onceIdOf(held), keepIn);
    const response = reply.code(status).serialize(body) as string;
    if (!isKept && !(await keepAnswer(db, held, { status, response: keep ? asKept(body) : response })))
      request.log.warn('the claim of a key was lost while it was held');
    return reply.type(JSON_TYPE).send(response);
  } catch (err) {
    // If this fails too, the lock's end frees the key.
    await releaseClaim(db, held).catch((failure: unknown) =>
      request.log.warn({ err: failure }, 'could not release a key'),
    );
    throw err;
  } finally {
    clearInterval(extending);
  }
}
const JSON_TYPE = 'application/json; charset=utf-8';
const onceIdOf = ({ caller, route, key, fingerprint: asked }: KeyClaim): string =>
  Buffer.from(fingerprint(caller, route, key, Buffer.from(asked).toString('hex'))).toString('hex');

/** The request's claim to its key. @returns undefined if it carries none @throws Problem invalid-idempotency-key */
export function claimOf(request: FastifyRequest, ttlMs: number): KeyClaim | undefined {
  const key = parseIdempotencyKey(request.headers['idempotency-key']);
  if (key === undefined) return undefined;
  const route = `${request.method} ${request.routeOptions.url}`;
  return {
    caller: request.caller.subject,
    route,
    key,
    // Where the path has parameters they are part of what was asked.
    fingerprint: fingerprint(route, request.body, ...Object.values(request.params as Record<string, string>)),
    ttlMs,
  };
}

/**
 * @returns the key, held, or the answer that it stands for; undefined if it cannot be kept
 * @throws Problem if it is in use, or stands for another request
 */
async function claimOrReplay(
  db: Database,
  claim: KeyClaim,
  lockMs: number,
): Promise<HeldClaim | Extract<Earlier, { outcome: 'replayed' }> | undefined> {
  const held = { ...claim, id: uuidv7(), lockMs };
  for (let claims = 0; claims < CLAIMS_MAX; claims++) {
    if (await claimKey(db, held)) return held;
    const earlier = await earlierAnswer(db, claim);
    if (earlier) return replayable(earlier);
    if (await isOutOfKeys(db, claim)) return undefined;
  }
  throw inProgress();
}

/** @throws Problem unless there is an answer to give again */
export function replayable(earlier: Earlier): Extract<Earlier, { outcome: 'replayed' }> {
  switch (earlier.outcome) {
    case 'replayed':
      return earlier;
    case 'in-progress':
      throw inProgress();
    case 'key-reused':
      throw new Problem('idempotency-key-reused', 'This Idempotency-Key was used before, with another request.');
    case 'erased':
      throw new Problem('erased', 'The customer of the order that this Idempotency-Key stands for was erased.');
    default:
      throw new Error(`Bug! Unhandled earlier answer ${earlier satisfies never}`);
  }
}

const inProgress = () =>
  new Problem(
    'idempotency-key-in-use',
    'The first request with this Idempotency-Key is under way.',
    {},
    {
      retryAfterS: RETRY_AFTER_S,
    },
  );
