/**
 * Webhooks: signed events that tell an endpoint of what was recorded. At least once, in any order, and never in the way of
 * an answer. What has not been delivered is sent again after a restart. Bounded: after the last attempt an event is given
 * up, so a receiver may rely on them for no more than a wake-up.
 */
import { createHmac } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { Logger } from 'pino';
import type { Faults } from '../faults/faults.js';
import type { Ledger } from '../ledger/ledger.js';
import { type Entry, type EventType, seconds } from '../ledger/records.js';
import { renderEvent } from './events.js';

export interface WebhookTarget {
  url: string;
  /** As given to the endpoint's verifier, `whsec_` included; during a rotation several, separated by blanks: each signs. */
  secret: string;
  /** 12 by default: with the backoff below the last one comes about five minutes after the first. */
  attemptsMax?: number;
  /** Wait before the second attempt; doubles each time, up to a minute. */
  backoffMs?: number;
}

const BACKOFF_MAX_MS = 60_000;
const TIMEOUT_MS = 10_000;
/** A down endpoint must not cost the sandbox its memory: beyond this many, new events are given up at once. */
const WAITING_MAX = 50_000;
/** Enough to keep up with the sandbox's own throughput, few enough not to be a load test of the receiver. */
const SENDING_MAX = 16;

interface Delivery {
  id: string;
  type: EventType;
  entry: Entry;
  attempts: number;
  /** How often it is still to be sent again after it was taken. */
  repeats: number;
}

export interface WebhookParts {
  ledger: Ledger;
  faults: Faults;
  logger: Logger;
}

export class Webhooks {
  #waiting = 0;
  #stopped = false;
  readonly #sending = new Set<AbortController>();
  readonly #ready: Delivery[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #client: typeof http | typeof https;
  readonly #agent: http.Agent;

  /** Events that let the next one pass. */
  #held: (() => void)[] = [];
  readonly #ledger: Ledger;
  readonly #faults: Faults;
  readonly #logger: Logger;

  constructor(
    private readonly target: WebhookTarget,
    { ledger, faults, logger }: WebhookParts,
  ) {
    this.#ledger = ledger;
    this.#faults = faults;
    this.#logger = logger;
    this.#client = new URL(target.url).protocol === 'https:' ? https : http;
    this.#agent = new this.#client.Agent({ keepAlive: true });
    for (const [id, { type, entry }] of ledger.facts.openEvents)
      this.#accept({ id, type, entry, attempts: 0, repeats: 0 });
    ledger.onRecorded((entry) => {
      for (const { id, type } of entry.events ?? []) this.#accept({ id, type, entry, attempts: 0, repeats: 0 });
    });
  }

  close(): void {
    this.#stopped = true;
    for (const sending of this.#sending) sending.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#agent.destroy();
  }

  #accept(delivery: Delivery): void {
    this.#waiting += 1;
    if (this.#waiting > WAITING_MAX) {
      this.#finish(delivery, 'too many events are waiting');
      return;
    }
    this.#misplace(delivery);
  }

  /** Sends it, unless it is to go astray. */
  #misplace(delivery: Delivery): void {
    const { type: event, entry } = delivery;
    const fault = this.#faults.take({ routes: ['webhook'], event, orderId: this.#orderOf(entry) });
    switch (fault?.mode) {
      case 'webhook_lost':
        this.#finish(delivery, 'lost on request');
        return;
      case 'webhook_repeated':
        this.#enqueue({ ...delivery, repeats: 1 });
        return;
      case 'webhook_late':
        this.#after(fault.delayMs ?? 0, delivery);
        return;
      case 'webhook_out_of_order':
        this.#held.push(this.#after(fault.delayMs ?? 0, delivery));
        return;
      default:
        this.#enqueue(delivery);
    }
  }

  #enqueue(delivery: Delivery): void {
    this.#ready.push(delivery);
    this.#pump();
  }

  #orderOf({ intent, charge, refund, dispute }: Entry): string | undefined {
    const about = refund ?? charge ?? dispute;
    return (intent ?? this.#ledger.facts.intents.get(about?.intent ?? ''))?.metadata['orderId'];
  }

  #pump(): void {
    while (this.#sending.size < SENDING_MAX && !this.#stopped) {
      const delivery = this.#ready.shift();
      if (!delivery) return;
      const abort = new AbortController();
      this.#sending.add(abort);
      void this.#attempt(delivery, abort).finally(() => {
        this.#sending.delete(abort);
        this.#pump();
      });
    }
  }

  async #attempt(delivery: Delivery, abort: AbortController): Promise<void> {
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
    const failure = await this.#send(delivery, abort.signal);
    clearTimeout(timer);
    delivery.attempts += 1;
    if (this.#stopped) return; // stays open in the ledger: sent again after the next start
    if (failure === undefined) this.#taken(delivery);
    else if (delivery.attempts >= (this.target.attemptsMax ?? 12)) this.#finish(delivery, failure);
    else this.#later(delivery);
  }

  #taken(delivery: Delivery): void {
    if (delivery.repeats > 0) this.#enqueue({ ...delivery, repeats: delivery.repeats - 1 });
    else this.#finish(delivery);
    for (const release of this.#held.splice(0)) release();
  }

  #later(delivery: Delivery): void {
    const backoffMs = (this.target.backoffMs ?? 500) * 2 ** (delivery.attempts - 1);
    this.#after(Math.min(backoffMs, BACKOFF_MAX_MS), delivery);
  }

  /** @returns sends it at once, if it has not been sent yet */
  #after(delayMs: number, delivery: Delivery): () => void {
    const send = () => {
      clearTimeout(timer);
      if (this.#timers.delete(timer)) this.#enqueue(delivery);
    };
    const timer = setTimeout(send, delayMs);
    this.#timers.add(timer);
    return send;
  }

  #finish({ id, type, attempts }: Delivery, failure?: string): void {
    this.#waiting -= 1;
    if (failure !== undefined) this.#logger.warn({ event: id, type, attempts, failure }, 'webhook given up');
    this.#ledger.closeEvent(id);
  }

  /** @returns why it failed, or undefined */
  #send({ id, type, entry }: Delivery, signal: AbortSignal): Promise<string | undefined> {
    const body = Buffer.from(JSON.stringify(renderEvent(id, type, entry)));
    const options: http.RequestOptions = {
      method: 'POST',
      agent: this.#agent,
      signal,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'content-length': body.length,
        'stripe-signature': sign(body, this.target.secret),
      },
    };
    return new Promise((resolve) => {
      const request = this.#client.request(this.target.url, options, (response) => {
        response.on('error', () => undefined).resume(); // the status has said it all
        const { statusCode = 0 } = response;
        resolve(statusCode >= 200 && statusCode < 300 ? undefined : `HTTP ${statusCode}`);
      });
      request.on('error', (err: NodeJS.ErrnoException) => resolve(err.code ?? err.name));
      request.end(body);
    });
  }
}

function sign(body: Buffer, secrets: string): string {
  const t = seconds(Date.now());
  const v1 = (secret: string) => createHmac('sha256', secret).update(`${t}.`).update(body).digest('hex');
  return [`t=${t}`, ...secrets.split(' ').map((secret) => `v1=${v1(secret)}`)].join(',');
}
