/**
 * A client of the order-saga API, typed by its OpenAPI document: paths, parameters, bodies and answers are checked when your
 * program is compiled. It sends one request per call and repeats nothing by itself: what to repeat, and when, is yours to
 * say (give POST /orders an `idempotency-key`, and repeating it is safe).
 */
import createFetchClient from 'openapi-fetch';
import type { components, paths } from './openapi.js';

type Schemas = components['schemas'];
export type Order = Schemas['Order'];
export type NewOrder = Schemas['NewOrder'];
export type OrderEvent = Schemas['Event'];
export type Saga = Schemas['Saga'];
export type Sku = Schemas['Sku'];
export type Problem = Schemas['Problem'];

export type ClientSettings = {
  /** Where the API is, such as http://127.0.0.1:3000 */
  baseUrl: string;
  /** Asked before every request, so that it may renew; absent = requests carry no token. */
  token?: () => string | Promise<string>;
  /** Limit of each request. */
  timeoutMs?: number;
};

/** Above the 30 s for which `Prefer: wait` can have an answer wait. */
const TIMEOUT_MS = 40_000;

export type OrderSagaClient = ReturnType<typeof createClient>;

export function createClient({ baseUrl, token, timeoutMs = TIMEOUT_MS }: ClientSettings) {
  return createFetchClient<paths>({
    baseUrl,
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers);
      if (token) headers.set('authorization', `Bearer ${await token()}`);
      return fetch(input, { signal: AbortSignal.timeout(timeoutMs), ...init, headers });
    },
  });
}

/** A refusal: what the server says of it is in `problem`. Its `code` is for programs, its `detail` for people. */
export class ProblemError extends Error {
  override name = 'ProblemError';
  constructor(
    readonly status: number,
    readonly problem: Problem | undefined,
    /** Seconds after which to try again, of a 429 or 503; undefined = the server has not said. */
    readonly retryAfterS?: number,
  ) {
    super(problem ? `${problem.status} ${problem.code}: ${problem.detail}` : `the server answered ${status}`);
  }
}

/** What JSON there is: a route's `text/event-stream` is a text in its type, and answered to nobody who does not ask for it. */
type Answered<T> = Exclude<NonNullable<T>, string>;

/**
 * @returns what was answered
 * @throws ProblemError if the request was refused
 */
export async function orThrow<T>(
  answer: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<Answered<T>> {
  const { data, error, response } = await answer;
  if (response.ok && data !== undefined && data !== null) return data as Answered<T>;
  throw new ProblemError(response.status, isProblem(error) ? error : undefined, retryAfterOf(response));
}

function retryAfterOf({ headers }: Response): number | undefined {
  const text = headers.get('retry-after') ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/**
 * Follows a list to its end, and the feed or the audit trail to where nothing is new. A page may hold fewer entries than `limit`:
 * only `next` says whether there is another.
 * @param read a page, from the cursor; undefined = the first
 */
export async function* pagesOf<P extends { next: string | null }>(
  read: (cursor: string | undefined) => Promise<P>,
): AsyncGenerator<P, void, undefined> {
  let asked: string | undefined;
  let cursor: string | undefined;
  do {
    asked = cursor;
    const page = await read(asked);
    yield page;
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && cursor !== asked);
}

const isProblem = (error: unknown): error is Problem =>
  typeof error === 'object' && error !== null && 'code' in error && 'detail' in error;
