/**
 * Signed webhooks: one POST per event in CloudEvents' structured mode, signed as Standard Webhooks has it.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import http from 'node:http';
import https from 'node:https';
import { Webhook } from 'standardwebhooks';
import { retryAfterMs, UNDO_PAUSE_MAX_MS } from '../../contracts/retry-after.js';
import type { CloudEvent } from '../../contracts/events.js';
import { readWords } from './answer-words.js';
import { publishOneByOne } from './one-by-one.js';
import { lookupPublic, refusePrivateLiteral } from './private-addresses.js';
import type { Publisher, PublishOutcome } from './publisher.js';

/** A receiver that takes longer has not taken it: it should store first and work later. */
const ANSWER_LIMIT_MS = 10_000;
/** Requests in flight to the receiver. */
const PARALLEL_MAX = 16;

/** With these a receiver rejects the event itself. Whatever else is not 2xx says more about the receiver. */
const REJECTIONS = new Set([400, 413, 415, 422]);
/** With these it says that it is overloaded. */
const BUSY = new Set([429, 503]);

type Post = {
  url: URL;
  /** One per secret that is valid now. */
  webhooks: () => Webhook[];
  agent: http.Agent;
  allowPrivate: boolean;
  timeoutMs: number;
  inFlight: Set<http.ClientRequest>;
};

/**
 * @param url          https, unless `allowPrivate`
 * @param secret       `whsec_` + base64, shared with the receiver; during a rotation several, separated by spaces; a function where a file has it
 * @param timeoutMs how long the receiver may take to answer one event; `parallelMax` of them at a time
 * @param allowPrivate permits http:// and private or loopback addresses
 * @throws a sentence for each of them that is wrong
 */
export function createWebhookPublisher(options: {
  url: string;
  secret: string | (() => string);
  allowPrivate: boolean;
  timeoutMs?: number;
  parallelMax?: number;
}): Publisher {
  const { allowPrivate, timeoutMs = ANSWER_LIMIT_MS, parallelMax = PARALLEL_MAX } = options;
  const url = new URL(options.url);
  const { secret } = options;
  const presentSecret = typeof secret === 'string' ? () => secret : secret;
  const webhooks = () => readSecrets(presentSecret());
  const faults = [
    ...(url.protocol !== 'https:' && !allowPrivate
      ? ['WEBHOOK_URL must be https, or WEBHOOK_ALLOW_PRIVATE=true.']
      : []),
    ...(webhooks().length === 0 ? [secretFault(presentSecret())] : []),
  ];
  if (faults.length > 0) throw new Error(faults.join('\n'));
  const agent = new (url.protocol === 'https:' ? https : http).Agent({ keepAlive: true });
  const post: Post = { url, webhooks, agent, allowPrivate, timeoutMs, inFlight: new Set() };
  return {
    destination: 'webhook',
    publish: (events) => publishOneByOne(events, (event) => send(post, event), parallelMax),
    close: async () => {
      for (const request of post.inFlight) request.destroy(new Error('closing'));
      agent.destroy();
    },
  };
}

/** @returns none if any of them is wrong */
function readSecrets(secrets: string): Webhook[] {
  try {
    return secrets
      .trim()
      .split(/\s+/)
      .map((secret) => new Webhook(secret));
  } catch {
    return [];
  }
}

const secretFault = (secrets: string): string =>
  secrets === ''
    ? 'WEBHOOK_SECRET is not set, but WEBHOOK_URL is.'
    : 'WEBHOOK_SECRET must be whsec_… (base64), or several of them separated by spaces.';

async function send(post: Post, event: CloudEvent): Promise<PublishOutcome> {
  const { status, words, retryAfterMs } = await request(post, event);
  if (status >= 200 && status < 300) return { outcome: 'taken' };
  // A redirect is not followed: it could lead anywhere, our own network included.
  const error = new Error(`the webhook receiver answered ${status}${words && ` (${words})`}`);
  if (REJECTIONS.has(status)) return { outcome: 'rejected', error };
  return {
    outcome: 'unavailable',
    error,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(BUSY.has(status) && { isBusy: true }),
  };
}

/** `words`: of an answer that is not 2xx, what answer-words lets through. */
type Answer = { status: number; words: string; retryAfterMs?: number };

async function request(post: Post, event: CloudEvent): Promise<Answer> {
  const { url, agent, allowPrivate } = post;
  const webhooks = post.webhooks();
  if (!allowPrivate) refusePrivateLiteral(url.hostname);
  const body = Buffer.from(JSON.stringify(event));
  const at = new Date();
  const options: http.RequestOptions = {
    method: 'POST',
    agent,
    headers: {
      'content-type': 'application/cloudevents+json; charset=UTF-8',
      'content-length': body.length,
      'user-agent': 'order-saga',
      'webhook-id': event.id,
      'webhook-timestamp': `${Math.floor(at.getTime() / 1000)}`,
      'webhook-signature': webhooks.map((webhook) => webhook.sign(event.id, at, body.toString())).join(' '),
    },
    ...(!allowPrivate && { lookup: lookupPublic }),
  };
  return exchange(post, options, body);
}

/** A connection that was kept may have been closed by the receiver at this very moment: then once more, on another one. */
async function exchange(post: Post, options: http.RequestOptions, body: Buffer): Promise<Answer> {
  for (;;) {
    const answer = await attempt(post, options, body);
    if (answer !== 'stale') return answer;
  }
}

function attempt(
  { url, timeoutMs, inFlight }: Post,
  options: http.RequestOptions,
  body: Buffer,
): Promise<Answer | 'stale'> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? https : http).request(url, options, (response) => {
      response.on('error', () => undefined); // the status has said it all
      const status = response.statusCode ?? 0;
      const answer = { status, ...retryAfterOf(response) };
      if (status < 200 || status >= 300) return void readWords(response).then((words) => resolve({ ...answer, words }));
      response.resume();
      resolve({ ...answer, words: '' });
    });
    const tooLate = new Error(`the webhook receiver has not answered within ${timeoutMs / 1_000} s`);
    const timer = setTimeout(() => request.destroy(tooLate), timeoutMs);
    inFlight.add(request);
    request.on('error', (err: NodeJS.ErrnoException) =>
      request.reusedSocket && err.code === 'ECONNRESET' ? resolve('stale') : reject(err),
    );
    request.on('close', () => {
      clearTimeout(timer);
      inFlight.delete(request);
    });
    request.end(body);
  });
}

/** Capped again by this destination's own longest pause. */
function retryAfterOf({ headers }: http.IncomingMessage): { retryAfterMs?: number } {
  const waitMs = retryAfterMs(headers['retry-after'], UNDO_PAUSE_MAX_MS);
  return waitMs === undefined ? {} : { retryAfterMs: waitMs };
}
