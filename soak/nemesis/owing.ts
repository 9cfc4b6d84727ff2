/**
 * A relay that dies in debt: a destination takes nothing, orders tell events meanwhile, and then the relay is killed that had tried to
 * deliver them. Whatever it knew of what it owed is gone; only the cursors can tell another one, or itself, where to go on.
 */
import type { OwingTarget } from '../plan/faults.js';
import type { Installation } from '../world/installation.js';
import { until } from '../world/waiting.js';
import { type Begin, whenPostgresAnswers } from './act.js';
import { partOf, upAgain } from './processes.js';

/** Of all shares of the orders, of which a relay serves half: some are its own. */
const OWED_LEAST = 25;
const OWED_WITHIN_MS = 6_000;

export const owing: Begin = async (around, { target }) => {
  const [name, destination] = target.split(' ') as OwingTarget;
  const recover = refuse(around, destination);
  if (!recover) return undefined; // there is no NATS here
  try {
    const told = await countEvents(around);
    await until('events are owed', OWED_WITHIN_MS, async () => (await countEvents(around)) >= told + OWED_LEAST);
  } catch {
    recover();
    return undefined; // clients have come to their end, or nothing is at work just now
  }
  const part = partOf(around, name);
  await part.kill();
  return async () => {
    recover();
    await upAgain(part);
  };
};

/** To whichever relay serves it. @returns how it is taken back */
function refuse({ consumer, links }: Installation, destination: OwingTarget[1]): (() => void) | undefined {
  if (destination === 'consumer') {
    consumer.trouble('fails');
    return () => consumer.trouble(undefined);
  }
  const laid = [links.get('relay-nats'), links.get('all-nats')].filter((link) => link !== undefined);
  if (laid.length === 0) return undefined;
  for (const link of laid) link.fail('reset');
  return () => {
    for (const link of laid) link.heal();
  };
}

const countEvents = ({ pool }: Installation): Promise<number> =>
  whenPostgresAnswers(async () => {
    const { rows } = await pool.query<{ count: number }>('SELECT count(*)::int AS count FROM outbox');
    return rows[0]?.count ?? 0;
  });
