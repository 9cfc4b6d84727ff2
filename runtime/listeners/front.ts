/**
 * The front of a listener: what every request passes before any handler, also before what answers that there is nothing at its
 * path. One for all listeners of ours: the API, the metrics port, the payment sandbox and the token issuer.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { type ConnectionLimits, limitConnections } from './connections.js';
import { answerRefusal, type Listener, type Refusal, refusedAtListeners } from './refusals.js';
import { readForm, refuseExpectation } from './request-form.js';
import { createStrangerCheck, type Trusted } from './strangers.js';

export type Front = {
  listener: Listener;
  /** Where nobody is authenticated: whom it answers all the same. undefined = callers are authenticated behind it. */
  trusted?: Trusted | undefined;
  connections?: ConnectionLimits;
  answer?: (refusal: Refusal, request: IncomingMessage, response: ServerResponse) => void;
};

/** Options for `createServer`: a request without a Host header is answered here, not by Node. */
export const FRONT_OPTIONS = { requireHostHeader: false };

/** @param server with its request handlers, made with FRONT_OPTIONS */
export function putFrontBefore(
  server: Server,
  { listener, trusted, connections, answer = answerRefusal }: Front,
): void {
  const isStrange = trusted && createStrangerCheck(trusted);
  const limit = connections && limitConnections(server, listener, connections);
  const refuse = (request: IncomingMessage, response: ServerResponse): Refusal | undefined => {
    const overload = limit?.(request, response);
    const form = readForm(request);
    if ('refusal' in form) return form.refusal;
    return isStrange?.(request, form.authority) ?? refuseExpectation(request) ?? overload;
  };
  const handlers = server.listeners('request');
  server.removeAllListeners('request');
  const pass = (event: 'request' | 'checkContinue') => (request: IncomingMessage, response: ServerResponse) => {
    const refusal = refuse(request, response);
    if (refusal) {
      refusedAtListeners.inc({ listener, code: refusal.code });
      return answer(refusal, request, response);
    }
    if (event === 'checkContinue') response.writeContinue();
    for (const handle of handlers) handle.call(server, request, response);
  };
  server.on('request', pass('request'));
  server.on('checkContinue', pass('checkContinue'));
  server.on('checkExpectation', pass('request'));
}
