/** One request of a client's, with a limit, and what its answer says about whether it was done. */
import type { Answer } from '../operation-log.js';

const LIMIT_MS = 12_000;

export type Sent = {
  method: 'GET' | 'POST' | 'PUT';
  url: string;
  body?: unknown;
  /** In place of JSON of the body. */
  raw?: string;
  headers?: Record<string, string>;
};

export async function send({ method, url, body, raw, headers = {} }: Sent): Promise<Answer> {
  const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  try {
    const answer = await fetch(url, {
      method,
      headers: { ...(text !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(text !== undefined && { body: text }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    const said = await answer.text();
    return { outcome: outcomeOf(answer.status, codeOf(said)), status: answer.status, ...code(said), text: said };
  } catch (err) {
    const cause = (err as { cause?: { code?: string } }).cause?.code;
    return { outcome: 'unknown', error: cause ?? (err as Error).name };
  }
}

/** What says "not now" says nothing about whether it was done; a request under the same key may be doing it. */
function outcomeOf(status: number, problem: string | undefined): Answer['outcome'] {
  if (status < 300) return 'ok';
  if (status >= 500 || status === 408) return 'unknown';
  return problem === 'idempotency-key-in-use' ? 'unknown' : 'refused';
}

function codeOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { code?: string }).code;
  } catch {
    return undefined;
  }
}

const code = (text: string): { code?: string } => {
  const found = codeOf(text);
  return found === undefined ? {} : { code: found };
};
