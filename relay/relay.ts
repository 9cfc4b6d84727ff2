/** The relay: everything that must happen after a commit although nobody asks for it. Any number of processes may run it. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { OUTBOX_CHANNEL } from '../contracts/ids.js';
import type { SagaPolicy } from '../contracts/saga.js';
import { releaseLeases } from '../domain/cursors.js';
import type { Database } from '../domain/database.js';
import { listen } from '../runtime/listener.js';
import { startLoop } from '../runtime/loop.js';
import type { TemporalLink } from '../runtime/temporal.js';
import { deliverOnce, LEASE_MS } from './deliveries.js';
import { countDeliveries, exposeFacts } from './metrics.js';
import type { Publisher } from './publishers/publisher.js';
import { startRetention } from './retention.js';
import { remindOnce, startUnstartedOnce } from './sweep.js';

/** Without a notification an event waits this long at most: well under the 2 s of idle lag that consumers are promised. */
const POLL_MS = 500;
const SWEEP_EVERY_MS = 1_000;
const REMIND_EVERY_MS = 15_000;

export type RelayDependencies = {
  db: Database;
  databaseUrl: string;
  temporal: TemporalLink;
  publishers: Publisher[];
  policy: SagaPolicy;
  deliveryBackoffMaxMs: number;
  /** How long events stay readable. */
  outboxRetentionMs: number;
  logger: Logger;
};

/** @returns how to stop it */
export function startRelay(deps: RelayDependencies): () => Promise<void> {
  const { db, temporal, publishers, policy, logger } = deps;
  const owner = randomUUID();
  const sweep = startLoop(
    { name: 'sweep', everyMs: SWEEP_EVERY_MS, backoffMaxMs: SWEEP_EVERY_MS, logger },
    async () => {
      const client = temporal.client();
      if (!client) return false;
      const { started, more } = await startUnstartedOnce({ db, client, policy });
      if (started > 0) logger.info({ started }, 'the sweep has taken care of orders without a saga');
      return more;
    },
  );
  const reminder = startLoop(
    { name: 'reminder', everyMs: REMIND_EVERY_MS, backoffMaxMs: REMIND_EVERY_MS, logger },
    async () => {
      const client = temporal.client();
      if (client) await remindOnce({ db, client });
      return false;
    },
  );
  const stopRetention = startRetention(
    {
      db,
      destinations: publishers.map(({ destination }) => destination),
      eventsOlderThanMs: deps.outboxRetentionMs,
    },
    logger,
  );
  exposeFacts({ db, client: temporal.client, logger });
  const deliveries = publishers.map(countDeliveries).map((publisher) => {
    const delivery = { db, publisher, owner, leaseMs: LEASE_MS, taken: new Set<string>() };
    const name = `delivery to ${publisher.destination}`;
    return startLoop({ name, everyMs: POLL_MS, backoffMaxMs: deps.deliveryBackoffMaxMs, logger }, async () => {
      const { more } = await deliverOnce(delivery);
      return more;
    });
  });
  const stopListening =
    deliveries.length === 0
      ? async () => undefined
      : listen(deps.databaseUrl, OUTBOX_CHANNEL, () => deliveries.forEach((loop) => void loop.wake()), logger);
  return async () => {
    await stopListening();
    await stopRetention();
    await Promise.all([sweep, reminder, ...deliveries].map((loop) => loop.stop()));
    await Promise.all(publishers.map((publisher) => publisher.close()));
    await releaseLeases(db, owner);
  };
}
