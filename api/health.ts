/** Whether this process lives, and whether it can do its work. */
import { setTimeout as pause } from 'node:timers/promises';
import { Type } from 'typebox';
import { TASK_QUEUE } from '../contracts/ids.js';
import type { Api, ApiDependencies } from './dependencies.js';

const ASK_LIMIT_MS = 1_000;
/** Time that a fresh process is given to reach Temporal before its absence is accepted as such. */
const CONNECTING_MS = 10_000;

type Check = 'up' | 'down' | 'connecting' | 'none' | 'unknown';

const Readiness = Type.Object({
  ready: Type.Boolean(),
  database: Type.String(),
  temporal: Type.String({ description: '`down` is accepted: orders are taken, their sagas start when it is back' }),
  workers: Type.String({ description: 'Whether anybody polls the task queue' }),
});

export function healthRoutes(app: Api, deps: ApiDependencies): void {
  const bornAt = Date.now();

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
        summary: 'This process can do its work',
        tags: ['health'],
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const [database, temporal] = await Promise.all([checkDatabase(deps), checkTemporal(deps, bornAt)]);
      const ready =
        database === 'up' &&
        temporal.temporal !== 'connecting' &&
        temporal.workers !== 'none' &&
        !deps.stopping.aborted;
      return reply.code(ready ? 200 : 503).send({ ready, database, ...temporal });
    },
  );
}

async function checkDatabase({ db }: ApiDependencies): Promise<Check> {
  const answer = db.$queryRaw`SELECT 1`.then(
    () => 'up' as const,
    () => 'down' as const,
  );
  return Promise.race([answer, pause(ASK_LIMIT_MS, 'down' as const, { ref: false })]);
}

async function checkTemporal(
  { temporal }: ApiDependencies,
  bornAt: number,
): Promise<{ temporal: Check; workers: Check }> {
  const client = temporal.client();
  if (!client) return { temporal: Date.now() - bornAt < CONNECTING_MS ? 'connecting' : 'down', workers: 'unknown' };
  try {
    const { pollers } = await client.withDeadline(Date.now() + ASK_LIMIT_MS, () =>
      client.workflowService.describeTaskQueue({
        namespace: temporal.namespace,
        taskQueue: { name: TASK_QUEUE },
        taskQueueType: 1, // workflow tasks
      }),
    );
    return { temporal: 'up', workers: (pollers ?? []).length > 0 ? 'up' : 'none' };
  } catch {
    return { temporal: 'down', workers: 'unknown' };
  }
}
