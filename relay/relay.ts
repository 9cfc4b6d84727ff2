/** The relay: everything that must happen after a commit although no request asks for it. Any number of processes may run it. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { CustomersTold } from '../contracts/events.js';
import { LEASES_MOVED } from '../contracts/ids.js';
import type { SagaPolicy } from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import type { Channel } from '../runtime/channel.js';
import type { ReadinessCheck } from '../runtime/health.js';
import { type Loop, startLoop } from '../runtime/loop.js';
import { watchPostgres } from '../runtime/postgres-health.js';
import type { TemporalLink } from '../runtime/temporal.js';
import { deliverOnce, LEASE_MS, saveCursors } from './deliveries.js';
import { createDelivery } from './delivery.js';
import { createEventValidator } from './event-validator.js';
import { countDeliveries, exposeFacts } from './metrics.js';
import type { Publisher } from './publishers/publisher.js';
import { startReplacement } from './replacement.js';
import { startSealing } from './sealing.js';
import { startRetention } from './retention.js';
import { type PersonalRetention, startPersonalRetention } from './personal-retention.js';
import { createPartitionLeases } from './partition-leases.js';
import { noteOnce } from './standing.js';
import { type Failing, startUnstartedOnce } from './sweep.js';
import { startSupervision } from './open-orders.js';

/** Without a hint an event waits this long at most: well under the 2 s of idle lag that consumers are promised. */
const POLL_MS = 500;
/** A saga's events come in bursts of milliseconds; one round serves them all. */
const LINGER_MS = 150;
/** Between two full batches: a drain leaves room for whatever else runs in this process, and for the receiver. */
const PAUSE_BETWEEN_BATCHES_MS = 50;
/** A round that takes longer to end than this is cut short; below the 15 s in which the process must stop. */
const STOP_LIMIT_MS = 5_000;
const SWEEP_EVERY_MS = 1_000;

export type RelayDependencies = {
  db: Database;
  /** Changes of orders. */
  changes: Pick<Channel, 'subscribe'>;
  temporal: TemporalLink;
  publishers: Publisher[];
  policy: SagaPolicy;
  /** Orders of which the API in this process takes care itself; none, where there is no API. */
  inHand: ReadonlySet<string>;
  deliveryBackoffMaxMs: number;
  /** What events say of their customer; absent = the client's id. */
  customersTold?: CustomersTold;
  /** Where a destination begins that is new. */
  destinationsBegin: 'oldest' | 'now';
  /** How old an erasure may be before it raises an alarm. */
  erasuresLateAfterMs: number;
  /** How long events stay readable. */
  outboxRetentionMs: number;
  /** How long what is personal is kept; undefined = for ever. */
  personalRetention?: PersonalRetention;
  logger: Logger;
};

export type RunningRelay = { readiness: ReadinessCheck; stop: () => Promise<void> };

export function startRelay(deps: RelayDependencies): RunningRelay {
  const { db, temporal, publishers, policy, inHand, logger } = deps;
  const failing: Failing = new Map();
  const sweep = startLoop(
    { name: 'sweep', everyMs: SWEEP_EVERY_MS, backoffMaxMs: SWEEP_EVERY_MS, logger },
    async () => {
      const client = temporal.client();
      if (!client) return false;
      const { started, more, errors } = await startUnstartedOnce({ db, client, policy, failing, inHand, logger });
      if (errors.length > 0)
        logger.error({ err: errors[0], orders: errors.length }, 'sagas of single orders cannot be started');
      if (started > 0) logger.info({ started }, 'the sweep has taken care of orders without a saga');
      return more;
    },
  );
  const stopSupervision = startSupervision({ db, client: temporal.client, policy, logger });
  const destinations = publishers.map(({ destination }) => destination);
  const stopReplacement = startReplacement(db, logger);
  const stopSealing = startSealing(db, logger);
  const stopRetention = startRetention({ db, destinations, eventsOlderThanMs: deps.outboxRetentionMs }, logger);
  const stopPersonalRetention = deps.personalRetention && startPersonalRetention(db, deps.personalRetention, logger);
  exposeFacts({
    db,
    destinations,
    client: temporal.client,
    timeLimits: policy,
    erasuresLateAfterMs: deps.erasuresLateAfterMs,
    logger,
  });
  const deliveries = publishers.length === 0 ? undefined : startDeliveries(deps);
  const readDatabase = watchPostgres(db);
  return {
    readiness: async () => {
      const database = await readDatabase();
      const areLeasesKnown = deliveries?.areLeasesKnown() ?? true;
      return { ready: database === 'up' && areLeasesKnown, database, leases: areLeasesKnown };
    },
    stop: async () => {
      await Promise.all([
        sweep.stop(),
        stopSupervision(),
        stopRetention(),
        stopReplacement(),
        stopSealing?.(),
        stopPersonalRetention?.(),
        deliveries?.stop(),
      ]);
    },
  };
}

/** One loop per destination, so that one that is down holds back no other; and one that renews this relay's leases. */
function startDeliveries(deps: RelayDependencies) {
  const { db, changes, publishers, deliveryBackoffMaxMs, destinationsBegin: begin, customersTold, logger } = deps;
  const owner = randomUUID();
  const validate = createEventValidator();
  const destinations = publishers.map((publisher) => publisher.destination);
  const leases = createPartitionLeases({ db, destinations, owner, leaseMs: LEASE_MS, begin, logger });
  const served = publishers.map(countDeliveries).map((publisher) => {
    const options = { db, publisher, owner, leases, backoffMaxMs: deliveryBackoffMaxMs, logger };
    const delivery = createDelivery({ ...options, validate, ...(customersTold && { customersTold }) });
    const name = `delivery to ${publisher.destination}`;
    const loop = startLoop(
      { name, everyMs: POLL_MS, backoffMaxMs: deliveryBackoffMaxMs, lingerMs: LINGER_MS, logger },
      async () => {
        const { more } = await deliverOnce(delivery).finally(() => noteOnce(delivery));
        if (more) await pause(PAUSE_BETWEEN_BATCHES_MS);
        return more;
      },
    );
    return { delivery, loop };
  });
  const wakeAll = () => served.forEach(({ loop }) => void loop.wake());
  const everyMs = LEASE_MS / 3;
  const leaseLoop = startLoop({ name: 'leases', everyMs, backoffMaxMs: everyMs, logger }, async () => {
    await leases.renewOnce();
    wakeAll();
    return false;
  });
  const unsubscribe = changes.subscribe((hint) => {
    if (hint === undefined || hint === LEASES_MOVED) leaseLoop.wake();
    else wakeAll();
  });
  const stop = async () => {
    unsubscribe();
    const ended = Promise.all([leaseLoop, ...served.map(({ loop }) => loop)].map((loop: Loop) => loop.stop()));
    await Promise.race([ended, pause(STOP_LIMIT_MS, undefined, { ref: false })]);
    await Promise.all(publishers.map((publisher) => publisher.close()));
    await ended;
    for (const { delivery } of served) await saveCursors(delivery);
    await leases.release();
  };
  return { areLeasesKnown: leases.isKnown, stop };
}
