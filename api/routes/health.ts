/** Whether this process lives, and whether the API in it can do its own work: write to Postgres. The reason is not answered. */
import { Type } from 'typebox';
import type { Database } from '../../domain/database.js';
import type { ReadinessCheck } from '../../runtime/health.js';
import { watchPostgres } from '../../runtime/postgres-health.js';
import type { Api, ApiDependencies } from '../dependencies.js';

/** Temporal is not asked: orders are taken without it, and their sagas start when it is back. */
export function createApiReadiness(db: Database, stopping: AbortSignal): ReadinessCheck {
  const readDatabase = watchPostgres(db);
  return async () => {
    const database = await readDatabase();
    return { ready: database === 'up' && !stopping.aborted, database };
  };
}

const Readiness = Type.Object({ ready: Type.Boolean() });

export function healthRoutes(app: Api, { readiness }: ApiDependencies): void {
  app.get(
    '/livez',
    {
      schema: {
        summary: 'This process lives',
        tags: ['health'],
        response: { 200: Type.Object({ alive: Type.Boolean() }) },
      },
    },
    async () => ({
      alive: true,
    }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        summary: 'The API can take orders',
        description:
          'That is: it can write to Postgres. While Temporal or the workers are away, orders are accepted, and their sagas run later.',
        tags: ['health'],
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const { ready } = await readiness();
      return reply.code(ready ? 200 : 503).send({ ready });
    },
  );
}
