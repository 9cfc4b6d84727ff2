/**
 * How the official client reaches the gateway: over kept connections, with a limit on the whole of a request (its own limit
 * is one of silence, which an answer that drips never reaches) and on the size of an answer. It also reads what time
 * it is there from the `Date` header of each answer.
 */
import http from 'node:http';
import https from 'node:https';
import type Stripe from 'stripe';
import { tracedWithin } from '../runtime/tracing/spans.js';

/** A page of 100 intents with all their metadata and charges is some 700 KB. */
const ANSWER_MAX_BYTES = 8 * 1024 * 1024;
/** Answers of which the time is remembered: one that is wrong must not decide alone. */
const HEARD_MAX = 8;
/**
 * A connection that has been idle for longer is closed, and after less if the gateway says so (`Keep-Alive: timeout`, which Node
 * heeds only where there is a limit of ours): balancers cut theirs after 60 s as a rule, some without a word, and the next charge
 * would be sent into the void.
 */
const IDLE_MAX_MS = 50_000;

export type GatewayClock = {
  /** The gateway's time in ms since 1970, to a second; undefined while it has never answered this process. */
  nowMs(): number | undefined;
  /** The same by each of its last answers, of which some may be wrong; empty while it has never answered this process. */
  timesMs(): number[];
};

export type HttpClient = NonNullable<Stripe.StripeConfig['httpClient']>;

/** @returns the client's transport, and the clock that its answers set */
export function createHttpClient(): { httpClient: HttpClient; clock: GatewayClock } {
  const kept = { keepAlive: true, timeout: IDLE_MAX_MS };
  const agents = { http: new http.Agent(kept), https: new https.Agent(kept) };
  /** Its time less that of a clock of ours that never jumps, by answer; the newest last. */
  const heard: number[] = [];
  const hear = (date: string | undefined) => {
    const dateMs = readDate(date);
    if (dateMs === undefined) return;
    heard.push(dateMs - performance.now());
    if (heard.length > HEARD_MAX) heard.shift();
  };
  const httpClient: HttpClient = {
    getClientName: () => 'order-saga',
    makeRequest: (host, port, path, method, headers, body, protocol, timeoutMs) => {
      const isPlain = protocol === 'http';
      const options = { host, port, path, method, headers: headers as http.OutgoingHttpHeaders };
      return tracedWithin(`${method} ${templateOf(path)}`, spanOf(host, port, path, method), async (span) => {
        const answer = await ask({ isPlain, agents, options, body, timeoutMs });
        hear(answer.headers.date);
        span?.set({ 'http.response.status_code': answer.status });
        return responseOf(answer);
      });
    },
  };
  const clock: GatewayClock = {
    nowMs: () => clock.timesMs().at(-1),
    timesMs: () => heard.map((offsetMs) => performance.now() + offsetMs),
  };
  return { httpClient, clock };
}

/** A path without what it is about; a query may hold anything. Their trace is not sent to others: it says nothing to them. */
const templateOf = (path: string): string => (path.split('?')[0] ?? '').replace(/\/[a-z]{2,5}_[^/]+/g, '/{id}');
const spanOf = (host: string, port: string | number, path: string, method: string) => ({
  kind: 'client' as const,
  attributes: {
    ...{ 'http.request.method': method, 'server.address': host, 'server.port': Number(port) },
    'url.template': templateOf(path),
  },
});

/** As HTTP writes it (RFC 9110, 5.6.7); `Date.parse` would take "7" for a day of the year 2001. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
/** A clock that is a year off was never set; 1970 is what such a proxy says. */
const PLAUSIBLE_WITHIN_MS = 366 * 86_400_000;

/** @returns undefined if it is no time that could be the gateway's */
function readDate(header: string | undefined): number | undefined {
  const dateMs = HTTP_DATE.test(header ?? '') ? Date.parse(header ?? '') : Number.NaN;
  return Math.abs(dateMs - Date.now()) <= PLAUSIBLE_WITHIN_MS ? dateMs : undefined;
}

type Asked = {
  isPlain: boolean;
  agents: { http: http.Agent; https: https.Agent };
  options: http.RequestOptions;
  body: string;
  timeoutMs: number;
};
type Answer = { status: number; headers: http.IncomingHttpHeaders; text: string };

function ask({ isPlain, agents, options, body, timeoutMs }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = isPlain
      ? http.request({ ...options, agent: agents.http })
      : https.request({ ...options, agent: agents.https });
    const timer = setTimeout(() => request.destroy(coded('ETIMEDOUT', 'no whole answer in time')), timeoutMs);
    const began = performance.now();
    request.once('error', (err: NodeJS.ErrnoException) => {
      // The client itself asks again after a cut connection, with all of the time once more. That is for a kept one which
      // had died of age; whatever was cut later would take the time of two requests.
      const isStale = request.reusedSocket && performance.now() - began < STALE_WITHIN_MS;
      if (!isStale && CUT.has(err.code ?? '')) err.code = 'ECONNABORTED';
      reject(err);
    });
    request.once('close', () => {
      clearTimeout(timer);
      reject(coded('ECONNABORTED', 'the connection was cut')); // of no effect once it is settled
    });
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_MAX_BYTES) request.destroy(coded('EMSGSIZE', 'the answer is too large'));
        else chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('end', () => {
        if (!response.complete) return; // cut off; `close` says so
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        });
      });
    });
    request.end(body);
  });
}

/** A connection that is dead already says so at the first byte: within a round trip. */
const STALE_WITHIN_MS = 200;
/** What the client takes for a connection that had died. */
const CUT = new Set(['ECONNRESET', 'EPIPE']);

const coded = (code: string, message: string): Error => Object.assign(new TypeError(message), { code });

/** The answer as the official client reads it. */
function responseOf({ status, headers, text }: Answer): Awaited<ReturnType<HttpClient['makeRequest']>> {
  return {
    getStatusCode: () => status,
    getHeaders: () => headers as Record<string, string>,
    getRawResponse: () => ({}),
    toStream: () => {
      throw new Error('Bug! Nothing of ours reads streams from the gateway');
    },
    toJSON: async () => {
      const answer: unknown = JSON.parse(text);
      if (typeof answer !== 'object' || answer === null || Array.isArray(answer))
        throw new SyntaxError('the answer is no JSON object');
      return answer;
    },
  };
}
