/** A broker's example: the same proof for each of them, with what differs between their clients. */
import { afterAll, afterEach, beforeAll, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import { binaryMode } from '../../relay/publishers/cloudevents.js';
import type { BrokerName } from '../../testbed/brokers/programs.js';
import type { Broker } from '../../testbed/brokers/start.js';
import { describeWithBroker } from '../support/brokers.js';
import { createConsumer, type TestConsumer } from './consumer.js';
import { orderEvents, pause, proveExactlyOnce, publish } from './proof.js';

export type Message = { event: CloudEvent; headers: Record<string, string>; body: string };
export type Parts = { broker: Broker; consumer: TestConsumer };

/**
 * @param send hands the broker a message whose body no one can read
 * @param more tests of this broker alone, with the same parts; the consumer is stopped between them
 */
export async function provenWithBroker(
  name: BrokerName,
  prefix: string,
  send: (address: string, message: Message) => Promise<void>,
  prepare: (address: string) => Promise<void> = async () => undefined,
  more: (parts: () => Parts) => void = () => undefined,
): Promise<void> {
  await describeWithBroker(name, (start) => {
    let broker: Broker;
    let consumer: TestConsumer;
    beforeAll(async () => {
      broker = await start();
      consumer = await createConsumer(name, broker.settings);
      await publish(broker.settings, orderEvents('made-first').slice(0, 1)); // makes topic, stream, queue
      await prepare(broker.address);
    }, 120_000);
    afterAll(async () => {
      await consumer?.drop();
      await broker?.stop();
    });

    test('killed, told everything twice, poisoned, cut off from its broker and its database, it has every effect exactly once', async () => {
      await proveExactlyOnce({
        name,
        consumer,
        deliver: (events) => publish(broker.settings, events),
        deliverBroken: async (event) => {
          const { attributes } = binaryMode(event, prefix);
          const headers = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, `${value}`]));
          await send(broker.address, { event, headers, body: '{"half' });
        },
        outage: async (ms) => {
          await broker.kill();
          await pause(ms);
          await broker.start();
        },
      });
    }, 300_000);

    afterEach(() => consumer.kill());
    more(() => ({ broker, consumer }));
  });
}
