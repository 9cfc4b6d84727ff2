/** A client that costs little itself: Node's own HTTP over connections that stay open. */
import { Agent, request } from 'node:http';

export type Answer = { status: number; body: string };
export type Post = (path: string, body: unknown, headers?: Record<string, string>) => Promise<Answer>;

/** Longer than `Prefer: wait` asks for. */
const ANSWER_LIMIT_MS = 30_000;

/** @param base http://host:port */
export function createPost(base: string): { post: Post; close: () => void } {
  const agent = new Agent({ keepAlive: true });
  const { hostname, port } = new URL(base);
  const post: Post = (path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify(body);
      const json = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers };
      const options = { agent, hostname, port, path, method: 'POST', headers: json, timeout: ANSWER_LIMIT_MS };
      const sent = request(options, (answer) => {
        let received = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => (received += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: received }));
        answer.on('error', reject);
      });
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${ANSWER_LIMIT_MS} ms`)));
      sent.on('error', reject);
      sent.end(text);
    });
  return { post, close: () => agent.destroy() };
}
