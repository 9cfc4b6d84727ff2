/** Faults of links, and of the consumer behind two of them. */
import type { LinkFault } from '../../testbed/link.js';
import type { LinkName } from '../plan/faults.js';
import type { ConsumerTrouble } from '../world/consumer.js';
import type { Begin } from './act.js';

export const link: Begin = async (around, { target }) => {
  const [name, trouble] = target.split(' ') as [LinkName, LinkFault];
  const laid = around.links.get(name);
  if (!laid) return undefined; // there is no NATS here
  laid.fail(trouble);
  return async () => laid.heal();
};

export const consumer: Begin = async (around, { target }) => {
  around.consumer.trouble(target as ConsumerTrouble);
  return async () => around.consumer.trouble(undefined);
};
