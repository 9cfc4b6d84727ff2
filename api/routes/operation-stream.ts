/** An operation as it goes on, as Server-Sent Events: each is the whole of it, so that whoever connects again has missed nothing. */
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Operation } from '../../contracts/operations.js';
import { readOperation } from '../../domain/operations/listing.js';
import { createSharedReads } from '../../runtime/shared-reads.js';
import type { ApiDependencies } from '../dependencies.js';
import { streamEvents } from '../http/event-stream.js';
import { RETRY } from '../http/server-sent-events.js';

/** As often as a person can follow; however many look on, it is read that often. */
const EVERY_MS = 1_000;
const SHARED_MAX = 1_000;
/** Told again although nothing has changed, so that whoever looks on knows that it is so now. */
const TOLD_EVERY_MS = 5_000;

export function streamOperation(deps: ApiDependencies) {
  const shared = createSharedReads<Operation | null>({ freshMs: () => EVERY_MS / 2, keysMax: SHARED_MAX });
  return (request: FastifyRequest, reply: FastifyReply, id: string): Promise<FastifyReply> =>
    streamEvents(deps, request, reply, async function* (signal) {
      yield RETRY;
      let [told, toldAt] = ['', 0];
      while (!signal.aborted) {
        const operation = await shared(id, () => readOperation(deps.db, id));
        const text = JSON.stringify(operation);
        if (text !== told || performance.now() - toldAt >= TOLD_EVERY_MS) {
          yield `event: operation\ndata: ${text}\n\n`;
          [told, toldAt] = [text, performance.now()];
        }
        if (operation === null || operation.endedAt !== null) return;
        await pause(EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
    });
}
