/**
 * Traffic: how often each route of the provider's API was asked, and how many requests are being answered: for tests
 * that a program asks no more than it must, and stops asking. `GET /sandbox/requests`; DELETE begins to count afresh.
 */
import type { FastifyInstance } from 'fastify';

export function countTraffic(app: FastifyInstance): void {
  const counts = new Map<string, number>();
  let open = 0;
  const isCounted = (url: string) => url.startsWith('/v1/');
  app.addHook('onRequest', async (request, reply) => {
    if (!isCounted(request.url)) return;
    const route = `${request.method} ${request.routeOptions.url ?? 'unknown'}`;
    counts.set(route, (counts.get(route) ?? 0) + 1);
    open += 1;
    reply.raw.once('close', () => {
      open -= 1;
    });
  });
  app.get('/sandbox/requests', () => ({ open, counts: Object.fromEntries(counts) }));
  app.delete('/sandbox/requests', (_request, reply) => {
    counts.clear();
    return reply.code(204).send();
  });
}
