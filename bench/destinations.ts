/** Destinations that go away and come back: the webhook, and NATS where this machine has it. */
import { findBroker } from '../testbed/brokers/programs.js';
import { readAll } from '../testbed/brokers/readers.js';
import { startBroker } from '../testbed/brokers/start.js';
import { type Arrivals, watchArrivals } from './arrivals.js';
import { startReceiver } from './receiver.js';

export type Destinations = {
  /** As the product's metrics call them. */
  names: string[];
  /** The product’s settings for them. */
  settings: Record<string, string>;
  leave: () => Promise<void>;
  comeBack: () => Promise<void>;
  /** What each has got so far. */
  arrivals: () => Promise<Map<string, Arrivals>>;
  /** For good. */
  stop: () => Promise<void>;
};

export async function startDestinations(): Promise<Destinations> {
  const ofWebhook = watchArrivals();
  const receiver = await startReceiver(ofWebhook.add);
  const broker = 'programs' in (await findBroker('nats', process.env)) ? await startBroker('nats') : undefined;
  const ofBroker = async () => {
    const arrivals = watchArrivals();
    if (broker) for (const { event } of await readAll(broker)) arrivals.add(event.id);
    return arrivals;
  };
  return {
    names: ['webhook', ...(broker ? [broker.name] : [])],
    settings: { ...receiver.settings, ...broker?.settings },
    leave: async () => {
      await Promise.all([receiver.stop(), broker?.kill()]);
    },
    comeBack: async () => {
      await Promise.all([receiver.start(), broker?.start()]);
    },
    arrivals: async () =>
      new Map([['webhook', ofWebhook], ...(broker ? [[broker.name, await ofBroker()] as const] : [])]),
    stop: async () => {
      await Promise.all([receiver.stop(), broker?.stop()]);
    },
  };
}
