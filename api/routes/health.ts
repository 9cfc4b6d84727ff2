/** Whether this process lives, and whether the API in it can do its own work: write to Postgres. The reason is not answered. */
import { Type } from 'typebox';
import { readBrakes } from '../../domain/brakes.js';
import type { Database } from '../../domain/database.js';
import type { ReadinessCheck } from '../../runtime/health.js';
import { watchPostgres } from '../../runtime/postgres-health.js';
import type { Api, ApiDependencies } from '../dependencies.js';

/** Temporal is not asked: orders are taken without it, and their sagas start when it is back. */
export function createApiReadiness(db: Database, stopping: AbortSignal): ReadinessCheck {
  const readDatabase = watchPostgres(db);
  return async () => {
    const database = await readDatabase();
    const brakes = database === 'up' ? await namesOfBrakes(db) : undefined;
    return { ready: database === 'up' && !stopping.aborted, database, ...(brakes && { brakes }) };
  };
}

/** For whoever wonders why nothing moves; that they cannot be read is no reason not to be ready. */
const namesOfBrakes = (db: Database): Promise<string | undefined> =>
  readBrakes(db).then(
    (engaged) => engaged.map(({ brake }) => brake).join(', ') || undefined,
    () => undefined,
  );

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
