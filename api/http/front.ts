/** What is refused before the server has a request: by the front of its listener, or by Node's parser. As problems, like all else. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { v7 as uuidv7 } from 'uuid';
import {
  type Refusal,
  refuseUnparsable,
  RETRY_AFTER_S,
  sendProblem,
  writeProblem,
} from '../../runtime/listeners/refusals.js';
import { requestsRefused } from '../metrics.js';
import { correlationIdOf } from './headers.js';
import { Problem, toBody } from './problems.js';
import { SECURITY_HEADERS } from './security-headers.js';

export function answerRefusal({ code, detail }: Refusal, { headers }: IncomingMessage, response: ServerResponse): void {
  const correlationId = correlationIdOf(headers);
  const body = toBody(new Problem(code, detail), correlationId);
  requestsRefused.inc({ status: body.status, reason: code });
  sendProblem(response, body, {
    ...SECURITY_HEADERS,
    'x-correlation-id': correlationId,
    ...(code === 'overloaded' && { 'retry-after': RETRY_AFTER_S }),
  });
}

export function answerUnparsable(err: Error & { code?: string }, socket: Socket): void {
  const refusal = refuseUnparsable(err, socket);
  if (!refusal) return;
  const correlationId = uuidv7();
  const body = toBody(new Problem(refusal.code, refusal.detail), correlationId);
  requestsRefused.inc({ status: body.status, reason: refusal.code });
  writeProblem(socket, body, { 'X-Correlation-ID': correlationId, ...SECURITY_HEADERS });
}
