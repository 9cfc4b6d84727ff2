/** The API, asked by fetch: data, or an ApiProblem that says what to do. */
import { base } from './base.js';
import { session } from './session.js';

/** @typedef {{ pointer: string, detail: string }} FieldError */

/** What a request ended with instead of data. `status` 0 = the API did not answer; whether it did what was asked is not known then. */
export class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {{ title?: string, detail?: string, code?: string, errors?: FieldError[], correlationId?: string, [field: string]: unknown }} body
   * @param {number} [retryAfterS]
   */
  constructor(status, body, retryAfterS) {
    super(body.detail ?? body.title ?? `The API has answered ${status}.`);
    this.name = 'ApiProblem';
    this.status = status;
    this.title = body.title ?? '';
    this.detail = this.message;
    this.code = body.code ?? '';
    this.errors = body.errors ?? [];
    this.correlationId = body.correlationId ?? '';
    this.retryAfterS = retryAfterS;
    /** All that the problem says, for fields of single problems. */
    this.body = body;
  }

  /** Whether the same request may succeed later: nothing about it is wrong. */
  get isPassing() {
    return this.isUndecided || this.status === 401 || this.status === 429;
  }

  /** Whether what was asked may have been done, or may still be. */
  get isUndecided() {
    return this.status === 0 || this.isUnderWay || this.status >= 500;
  }

  /** Whether the first of these requests may still be at work. */
  get isUnderWay() {
    return this.status === 408 || this.code === 'idempotency-key-in-use';
  }

  /** @param {string} pointer such as `/reason` @returns {string | undefined} what is wrong with the field */
  fieldError(pointer) {
    return this.errors.find((error) => error.pointer === pointer)?.detail;
  }
}

const UNREACHABLE = {
  title: 'The API does not answer',
  detail: 'The API does not answer just now. Nothing that you typed is lost.',
};

/**
 * @typedef {object} Options
 * @property {AbortSignal} [signal]
 * @property {unknown} [body]
 * @property {string} [idempotencyKey] of a POST
 * @property {Record<string, string>} [headers]
 */

/**
 * @param {string} method
 * @param {string} path below the API, without a slash at its start or with one
 * @param {Options} [options]
 * @returns {Promise<Response>} whose status is 2xx; anything else is thrown
 */
export async function request(method, path, { signal, body, idempotencyKey, headers = {} } = {}) {
  const bearer = await session.bearer();
  const sent = {
    method,
    signal,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
      ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
  const response = await fetch(new URL(path.replace(/^\//, ''), base), sent).catch((err) => {
    if (signal?.aborted) throw err;
    throw new ApiProblem(0, UNREACHABLE);
  });
  if (response.ok) return response;
  if (response.status === 401) session.expired();
  throw await problemOf(response);
}

/** @param {Response} response */
async function problemOf(response) {
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const body = await response.json().catch(() => ({}));
  return new ApiProblem(response.status, body, Number.isFinite(retryAfter) ? retryAfter : undefined);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<any>}
 */
async function ask(method, path, options) {
  const response = await request(method, path, options);
  const text = await response.text().catch(() => {
    throw new ApiProblem(0, UNREACHABLE);
  });
  return text === '' ? undefined : JSON.parse(text);
}

/** @param {string} path @param {Options} [options] */
export const get = (path, options) => ask('GET', path, options);

/**
 * The keys of POSTs whose outcome is not known, by what was asked. They outlive the form and the dialog that asked: whoever asks for the
 * same again, with the same reason, asks for that act. In memory alone, as all of the page.
 * @type {Map<string, string>}
 */
const undecided = new Map();
/** More than anybody leaves undecided; the oldest is forgotten. */
const UNDECIDED_MAX = 1_000;

/** @param {string} path @param {{ body?: unknown }} [options] */
export async function post(path, { body } = {}) {
  const asked = `${path} ${JSON.stringify(body)}`;
  const idempotencyKey = undecided.get(asked) ?? newKey();
  undecided.set(asked, idempotencyKey);
  for (const oldest of undecided.keys()) if (undecided.size > UNDECIDED_MAX) undecided.delete(oldest);
  try {
    const answer = await ask('POST', path, { body, idempotencyKey });
    undecided.delete(asked);
    return answer;
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) throw problem;
    if (!problem.isPassing) undecided.delete(asked);
    throw problem.isUndecided ? toldOfAct(problem) : problem;
  }
}

/** @param {ApiProblem} problem */
function toldOfAct({ status, body, detail, isUnderWay, retryAfterS }) {
  const told = isUnderWay
    ? { title: 'It is still being done', detail: `Nothing is known of its end yet. ${NOT_TWICE}` }
    : { detail: `${detail} It may have been done. ${NOT_TWICE}` };
  return new ApiProblem(status, { ...body, ...told }, retryAfterS);
}
const NOT_TWICE = 'Trying the same again, with the same reason, does not do it twice.';

/** @param {string} path @param {Options} [options] */
export const put = (path, options) => ask('PUT', path, options);

/** @returns {string} an Idempotency-Key; `randomUUID` is there in secure contexts only */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
