/**
 * The prober: has parked sagas tried again when the neighbour that they wait for is back, one at a time and then faster. It asks
 * the neighbour on behalf of all of them, once a round; nothing else does, since a parked saga asks for nothing. Any number of
 * processes may run it; a lease has one of them do the work. That the lease, which is a row, can be taken says that the database
 * is back.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { HELD_QUERY, type Neighbour } from '../contracts/saga.js';
import { readOldestOpenAt } from '../domain/acceptance.js';
import { mayCharge } from '../domain/brakes.js';
import type { Database } from '../domain/database.js';
import { giveUpLease, takeLease } from '../domain/leases.js';
import { GatewayUnknown, type PaymentLedger } from '../gateways/payments.js';
import { startLoop } from '../runtime/loop.js';
import { newMemory, probeOnce } from './probing.js';

const LEASE = 'prober';
/** Longer than a round, whose longest part is the watching of a try; what a dead process holds up is tried again after it. */
const LEASE_MS = 20_000;
/** No charge has this reference: asking for it costs the gateway nothing, and an answer says that it is there. */
const NO_CHARGE = 'pi_probe';

export type ProberSettings = {
  db: Database;
  /** @returns undefined as long as Temporal has never answered */
  client: () => Client | undefined;
  /** Behind its circuit breaker: while that is open, it says so without asking. */
  gateway: Pick<PaymentLedger, 'readCharge'>;
  everyMs: number;
  logger: Logger;
};

/** @returns how to stop it; a try that it has asked for goes on without it */
export function startProber({ db, client, gateway, everyMs, logger }: ProberSettings): () => Promise<void> {
  const owner = randomUUID();
  const memory = newMemory();
  const heldMemory = newMemory();
  let stopping = false;
  const isBack = async (neighbour: Neighbour): Promise<boolean> =>
    neighbour === 'database' || (neighbour === 'brake' ? mayCharge(db) : gatewayAnswers(gateway));
  const loop = startLoop({ name: 'prober', everyMs, backoffMaxMs: 2 * everyMs, logger }, async () => {
    const temporal = client();
    if (!temporal || !(await takeLease(db, LEASE, { owner, leaseMs: LEASE_MS }))) return false;
    const round = {
      ...{ client: temporal, isBack, isStopping: () => stopping, logger },
      oldestUntil: (orders: number) => readOldestOpenAt(db, orders),
    };
    const counts = await probeOnce(round, memory);
    // With a memory of their own: a limit on spending that is reached must not slow down what waits for a neighbour.
    const held = await probeOnce({ ...round, query: HELD_QUERY }, heldMemory);
    for (const what of ['parked', 'tried', 'succeeded'] as const) counts[what] += held[what];
    // One that fails by itself is tried all the time; only what goes on is news.
    if (counts.tried > 0) logger[counts.succeeded > 0 ? 'info' : 'debug'](counts, 'probed parked sagas');
    return counts.tried > 0 && counts.succeeded === counts.tried && counts.parked > counts.tried;
  });
  return async () => {
    stopping = true;
    await loop.stop();
    await giveUpLease(db, LEASE, owner).catch((err: unknown) => logger.debug({ err }, 'the lease runs out by itself'));
  };
}

async function gatewayAnswers(gateway: ProberSettings['gateway']): Promise<boolean> {
  try {
    await gateway.readCharge(NO_CHARGE);
    return true;
  } catch (err) {
    if (err instanceof GatewayUnknown) return false;
    throw err;
  }
}
