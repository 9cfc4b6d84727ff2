/**
 * Faults: how the sandbox misbehaves on request. A fault is set over HTTP (`/sandbox/faults`) or comes with a card
 * (cards.ts), applies to the requests it matches until it is used up or cleared, and is forgotten at a restart.
 *
 * | mode          | what happens                                                                                    |
 * |---------------|-------------------------------------------------------------------------------------------------|
 * | `down`        | 503, nothing recorded, the key stays free                                                        |
 * | `busy`        | 429, nothing recorded, the key stays free                                                        |
 * | `reset`       | the connection is cut, nothing recorded                                                          |
 * | `hang`        | silence for `delayMs`, then the connection is cut; nothing recorded                              |
 * | `slow`        | works for `delayMs`, then as usual; the same key meanwhile gets 409                              |
 * | `error`       | 500 without any effect, stored: the same key gets it again                                       |
 * | `error_after` | takes effect, then 500, stored: the same key gets it again                                       |
 * | `hang_after`  | takes effect, then answers after `delayMs`; the same key again is answered at once               |
 * | `reset_after` | takes effect, then the connection is cut                                                         |
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import { newId } from './records.js';

const MODES = ['down', 'busy', 'reset', 'hang', 'slow', 'error', 'error_after', 'hang_after', 'reset_after'] as const;
const ROUTES = ['charge', 'refund', 'lookup', 'all'] as const;
const FAULTS_MAX = 1_000;
const REFUSED_KEYS_MAX = 100_000;
const DELAY_MAX_MS = 10 * 60 * 1000;

export type Mode = (typeof MODES)[number];
export type Route = Exclude<(typeof ROUTES)[number], 'all'> | 'other';

const FaultRequest = Type.Object(
  {
    mode: Type.Enum([...MODES]),
    route: Type.Optional(Type.Enum([...ROUTES])),
    /** Requests that it still applies to; null = until it is cleared. */
    count: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.Null()])),
    delayMs: Type.Optional(Type.Integer({ minimum: 0, maximum: DELAY_MAX_MS })),
    orderId: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
  },
  { additionalProperties: false },
);

export interface Fault {
  mode: Mode;
  delayMs: number;
}

interface SetFault extends Fault {
  id: string;
  route: (typeof ROUTES)[number];
  count: number | null;
  orderId: string | null;
}

/** What a fault is matched against. */
export interface Target {
  route: Route;
  orderId?: string | undefined;
  /** The fault of the card that the request is about to charge. */
  cardFault?: Mode | undefined;
  key?: string | undefined;
}

export interface FaultTiming {
  hangMs: number;
  slowMs: number;
}

export class Faults {
  #set: SetFault[] = [];
  /** Keys that have met their outage; a restart forgets them, and then they meet it once more. */
  readonly #refusedKeys = new Set<string>();
  readonly #stop = new AbortController();

  constructor(private readonly timing: FaultTiming) {
    setMaxListeners(0, this.#stop.signal); // any number of requests may be waiting
  }

  /** The fault that this request meets, if any; counts it as used. A set fault wins over the card's own. */
  take(target: Target): Fault | undefined {
    const found = this.#set.find(
      (fault) =>
        (fault.route === 'all' || fault.route === target.route) &&
        (fault.orderId === null || fault.orderId === target.orderId),
    );
    if (!found) return this.#cardFault(target);
    if (found.count !== null) found.count -= 1;
    if (found.count === 0) this.#set = this.#set.filter((fault) => fault !== found);
    return found;
  }

  #cardFault({ cardFault: mode, key }: Target): Fault | undefined {
    if (mode === undefined) return undefined;
    if (mode === 'down' && key !== undefined && !this.#refuseOnce(key)) return undefined;
    return { mode, delayMs: this.#delayOf(mode) };
  }

  /** @returns whether this is the key's first time */
  #refuseOnce(key: string): boolean {
    if (this.#refusedKeys.has(key)) return false;
    const [oldest] = this.#refusedKeys;
    if (oldest !== undefined && this.#refusedKeys.size >= REFUSED_KEYS_MAX) this.#refusedKeys.delete(oldest);
    this.#refusedKeys.add(key);
    return true;
  }

  add(request: Static<typeof FaultRequest>): SetFault {
    const { mode, route = 'all', count = null, orderId = null, delayMs = this.#delayOf(mode) } = request;
    const fault = { id: newId('flt'), mode, route, count, orderId, delayMs };
    this.#set = [...this.#set, fault].slice(-FAULTS_MAX);
    return fault;
  }

  list(): readonly SetFault[] {
    return this.#set;
  }

  clear(): void {
    this.#set = [];
  }

  /** @returns false when the sandbox is stopping, so that whoever waited gives up */
  async wait(delayMs: number): Promise<boolean> {
    return await sleep(delayMs, true, { signal: this.#stop.signal }).catch(() => false);
  }

  /** Ends all waiting, so that a hanging request never delays a shutdown. */
  stop(): void {
    this.#stop.abort();
  }

  #delayOf(mode: Mode): number {
    return mode === 'slow' ? this.timing.slowMs : this.timing.hangMs;
  }
}

/** For whoever asks the sandbox what it can do. */
export const FAULTS_HELP = {
  how: 'POST /sandbox/faults with a body like `example`, as application/json; DELETE /sandbox/faults ends them all.',
  example: { mode: 'down', route: 'charge', count: 3 } satisfies Static<typeof FaultRequest>,
  mode: MODES,
  route: ROUTES,
  optional: 'route (default all), count of requests (default: until it is ended), delayMs, orderId (default: any)',
};

export function faultRoutes(app: FastifyInstance, faults: Faults): void {
  app.post<{ Body: Static<typeof FaultRequest> }>(
    '/sandbox/faults',
    { schema: { body: FaultRequest } },
    (request, reply) => {
      reply.code(201);
      return faults.add(request.body);
    },
  );
  app.get('/sandbox/faults', () => ({ faults: faults.list() }));
  app.delete('/sandbox/faults', (_request, reply) => {
    faults.clear();
    return reply.code(204).send();
  });
}
