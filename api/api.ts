/** The API role: HTTP in, JSON out. */
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { SagaPolicy } from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import type { TemporalLink } from '../runtime/temporal.js';
import { type AuthenticationSettings, createAuthenticator } from './authentication.js';
import { createServer } from './server.js';
import { createSagaStarter } from './starter.js';
import { createWatch } from './watch.js';

export type ApiSettings = {
  db: Database;
  databaseUrl: string;
  temporal: TemporalLink;
  policy: SagaPolicy;
  host: string;
  port: number;
  temporalUiUrl?: string;
  idempotencyTtlMs: number;
  /** undefined = every caller has every role. */
  authentication?: AuthenticationSettings;
  /** This process runs a worker too, so that a saga may begin in it at once. */
  eager: boolean;
  logger: Logger;
};

/** @returns the port it listens on, and how to stop it: requests under way are answered first */
export async function startApi(settings: ApiSettings): Promise<{ port: number; stop: () => Promise<void> }> {
  const { db, temporal, policy, eager, logger } = settings;
  const stopping = new AbortController();
  const starter = createSagaStarter({ db, client: temporal.client, policy, eager, logger });
  const watch = createWatch(settings.databaseUrl, logger);
  const { temporalUiUrl, idempotencyTtlMs } = settings;
  const app = await createServer(
    { authenticate: createAuthenticator(settings.authentication), db, temporal, starter, watch, policy, idempotencyTtlMs, stopping: stopping.signal, ...(temporalUiUrl && { temporalUiUrl }) },
    logger,
  );
  await app.listen({ host: settings.host, port: settings.port });
  return {
    port: (app.server.address() as AddressInfo).port,
    stop: async () => {
      stopping.abort();
      await app.close();
      await starter.stop();
      await watch.stop();
    },
  };
}
