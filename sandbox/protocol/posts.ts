/**
 * Posts: what every request that changes something goes through, whatever it changes: its Idempotency-Key, the faults it
 * is to meet, one entry in the ledger that holds both effect and answer, and only then the answer. A key is bound to its
 * answer in the same line as the effect, so no crash can separate them. Refusals before execution bind nothing.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { misquote } from '../faults/distortion.js';
import type { Echo, Fault, Faults } from '../faults/faults.js';
import type { Mode, Route } from '../faults/modes.js';
import type { Remembered } from '../ledger/facts.js';
import type { Change, Ledger } from '../ledger/ledger.js';
import type { Entry, Outcome } from '../ledger/records.js';
import { type ErrorBody, INTERNAL, invalid, ProviderError, tooBusy, unavailable } from './errors.js';
import { type Form, fingerprint } from './form.js';
import { list } from './params.js';
import { renderCharge, renderCustomer, renderError, renderIntent, renderRefund } from './render.js';

const KEY_CHARS_MAX = 255;

/** What a request did: the records to keep, and the answer to give. */
export interface Effect extends Change {
  status: number;
  error?: ErrorBody;
}

/** A request whose parameters are in order. */
export interface Plan {
  route: Route;
  orderId?: string | undefined;
  cardFault?: Mode | undefined;
  /** Decides and describes the effect in one go, without waiting, so that two requests never decide from the same facts. */
  execute(key: string | undefined, fault: Fault | undefined): Effect;
}

type Prepare = (form: Form) => Plan;

export class Posts {
  /** Keys being worked on, each with a token, so that a request that lets go late does not let go of another's claim. */
  readonly #inFlight = new Map<string, symbol>();

  constructor(
    private readonly ledger: Ledger,
    private readonly faults: Faults,
  ) {}

  async answer(request: FastifyRequest, reply: FastifyReply, prepare: Prepare): Promise<unknown> {
    const key = readKey(request);
    const form = request.body as Form;
    if (key === undefined) return this.#run(request, reply, prepare(form), undefined);

    const claim: Claim = { key, route: pathOf(request), print: fingerprint(form), token: Symbol(key) };
    const remembered = this.ledger.remembered(key);
    if (remembered) return this.#repeat(request, reply, remembered, claim);
    if (this.#inFlight.has(key)) throw inUse(key);
    this.#inFlight.set(key, claim.token);
    try {
      return await this.#run(request, reply, prepare(form), claim);
    } finally {
      this.#letGo(claim);
    }
  }

  async #repeat(request: FastifyRequest, reply: FastifyReply, first: Remembered, claim: Claim): Promise<unknown> {
    const { outcome, entry } = first;
    if (outcome.route !== claim.route) throw otherRoute(claim.key, outcome.route, claim.route);
    if (outcome.print !== claim.print) throw otherParameters(claim.key);
    await this.ledger.durable();
    reply.headers({ 'idempotent-replayed': 'true', 'original-request': outcome.requestId });
    return send(request, reply, entry, outcome);
  }

  async #run(request: FastifyRequest, reply: FastifyReply, plan: Plan, claim: Claim | undefined): Promise<unknown> {
    const { route, orderId, cardFault } = plan;
    const fault = this.faults.take({ routes: [route], orderId, cardFault, key: claim?.key });
    // A request that hangs holds no key: it is not being worked on.
    if (fault?.mode === 'hang' && claim) this.#letGo(claim);
    if (fault && !(await enter(this.faults, fault))) return cut(reply);

    const { status, error, ...change } = meet(fault, () => plan.execute(claim?.key, fault));
    const answer = { status, ...(error ? { error } : {}), ...(fault?.echo ? { echo: fault.echo } : {}) };
    const entry = await this.ledger.record({
      ...change,
      ...(claim ? { outcome: outcomeOf(claim, request, answer) } : {}),
    });

    if (fault && !(await leave(this.faults, fault))) return cut(reply);
    return send(request, reply, entry, answer);
  }

  #letGo({ key, token }: Claim): void {
    if (this.#inFlight.get(key) === token) this.#inFlight.delete(key);
  }
}

interface Claim {
  key: string;
  route: string;
  print: string;
  token: symbol;
}

interface Answer {
  status: number;
  error?: ErrorBody;
  echo?: Echo;
}

function outcomeOf({ key, route, print }: Claim, request: FastifyRequest, answer: Answer): Outcome {
  return { key, route, print, ...answer, requestId: request.id };
}

const pathOf = (request: FastifyRequest) => request.url.split('?', 1)[0] ?? '';

/** The part of a fault that comes before the effect. @returns false if there shall be no answer */
export async function enter(faults: Faults, { mode, delayMs, retryAfter }: Fault): Promise<boolean> {
  if (mode === 'down') throw unavailable(retryAfter);
  if (mode === 'busy') throw tooBusy(retryAfter);
  if (mode === 'reset') return false;
  if (mode === 'slow') return await faults.wait(delayMs);
  if (mode === 'hang') await faults.wait(delayMs);
  return mode !== 'hang';
}

function meet(fault: Fault | undefined, execute: () => Effect): Effect {
  if (fault?.mode === 'error') return { status: 500, error: INTERNAL };
  const effect = execute();
  return fault?.mode === 'error_after' ? { ...effect, status: 500, error: INTERNAL } : effect;
}

/** The part of a fault that comes after the effect. @returns false if there shall be no answer */
export async function leave(faults: Faults, { mode, delayMs }: Fault): Promise<boolean> {
  return mode === 'hang_after' ? await faults.wait(delayMs) : mode !== 'reset_after';
}

/** Ends the connection without an answer. */
export function cut(reply: FastifyReply): FastifyReply {
  reply.hijack();
  reply.raw.destroy();
  return reply;
}

/** The same for a first answer and for its repetition: both are made from the entry alone. */
function send(request: FastifyRequest, reply: FastifyReply, entry: Entry, { status, error, echo }: Answer): object {
  reply.code(status);
  // The provider tells its clients that asking again with the same key would only repeat the 500.
  if (status === 500) reply.header('stripe-should-retry', 'false');
  if (error) return renderError(error, error.type === 'api_error' ? undefined : entry.intent);
  if (entry.customer) return renderCustomer(entry.customer);
  if (entry.refund) return renderRefund(entry.refund);
  if (!entry.intent && entry.charge) return renderCharge(entry.charge);
  if (!entry.intent) throw new Error('Bug! An entry without error, customer, refund, charge or intent has no answer.');
  const expanded = list(request.body as Form, 'expand').includes('latest_charge');
  const intent = renderIntent(entry.intent, expanded ? entry.charge : undefined);
  return echo ? misquote({ ...intent }, echo) : intent;
}

function readKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined || key === '') return undefined;
  if (Array.isArray(key) || key.length > KEY_CHARS_MAX) {
    throw invalid(`Idempotency keys have at most ${KEY_CHARS_MAX} characters.`);
  }
  return key;
}

// The provider documents 409 for this; its answers seen in the wild carry `invalid_request_error`, not `idempotency_error`.
function inUse(key: string): ProviderError {
  return new ProviderError(409, {
    type: 'invalid_request_error',
    code: 'idempotency_key_in_use',
    message: `There is currently another in-progress request using this Idempotent Key: ${key}. Please try again later.`,
  });
}

function otherParameters(key: string): ProviderError {
  return new ProviderError(400, {
    type: 'idempotency_error',
    message:
      'Keys for idempotent requests can only be used with the same parameters they were first used with. ' +
      `Try using a key other than '${key}' if you meant to execute a different request.`,
  });
}

function otherRoute(key: string, first: string, now: string): ProviderError {
  return new ProviderError(400, {
    type: 'idempotency_error',
    message:
      `Keys for idempotent requests can only be used for the same endpoint they were first used for ('${now}' vs ` +
      `'${first}'). Try using a key other than '${key}' if you meant to execute a different request.`,
  });
}
