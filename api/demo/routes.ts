/**
 * The console's buttons for trying faults out, on a laptop: what is pressed is passed on to the launcher of `npm start`. Registered only
 * where that has said where it is, which no server does.
 */
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { Api } from '../dependencies.js';
import { Problem } from '../http/problems.js';

const ASK_LIMIT_MS = 3_000;
const hide = true;

export function demoRoutes(app: Api, launcherUrl: string): void {
  app.get('/demo', { schema: { hide } }, async (_request, reply) => pass(reply, `${launcherUrl}/`, 'GET'));
  app.post(
    '/demo/:act',
    { schema: { hide, params: Type.Object({ act: Type.String({ pattern: '^[a-z-]{1,40}$' }) }) } },
    async ({ params: { act } }, reply) => pass(reply, `${launcherUrl}/acts/${act}`, 'POST'),
  );
}

async function pass(reply: FastifyReply, url: string, method: 'GET' | 'POST'): Promise<FastifyReply> {
  let answer: { status: number; body: { says?: string } };
  try {
    const response = await fetch(url, { method, signal: AbortSignal.timeout(ASK_LIMIT_MS) });
    answer = { status: response.status, body: (await response.json()) as { says?: string } };
  } catch {
    throw new Problem('unavailable', 'The launcher does not answer: was it stopped?');
  }
  if (answer.status === 409) throw new Problem('not-possible-now', answer.body.says ?? 'Not just now.');
  return reply.code(answer.status).send(answer.body);
}
