/** What operators may set of each destination's client: within bounds that are said at the start. */
import { expect, test } from '@jest/globals';
import { createWebhookPublisher } from '../../../relay/publishers/webhook.js';
import { ConfigError, readConfig } from '../../../runtime/config.js';
import { settings } from '../../../runtime/settings.js';
import { startReceiver } from '../../support/receiver.js';
import { eventsOf, kinds } from './contract.js';

const DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/nothing';

test.each([
  ['WEBHOOK_PUBLISH_TIMEOUT', '31s', '"31s" is not between 500ms and 30s'],
  ['WEBHOOK_PARALLEL_MAX', '129', '"129" is not a whole number from 1 to 128'],
  ['KAFKA_PUBLISH_TIMEOUT', '499ms', '"499ms" is not between 500ms and 8s'],
  ['KAFKA_PUBLISH_TIMEOUT', '5', '"5" is not a duration; write 500ms, 30s, 2m, 1h or 7d'],
  ['KAFKA_BATCH_BYTES_MAX', '1000000', '"1000000" is not a whole number from 16384 to 900000'],
  ['NATS_PUBLISH_TIMEOUT', '9s', '"9s" is not between 500ms and 8s'],
  ['NATS_PARALLEL_MAX', '0', '"0" is not a whole number from 1 to 512'],
  ['RABBITMQ_PUBLISH_TIMEOUT', '9s', '"9s" is not between 500ms and 8s'],
  ['RABBITMQ_PARALLEL_MAX', '1.5', '"1.5" is not a whole number from 1 to 512'],
])('%s=%s is refused at the start, by its name', (name, value, sentence) => {
  expect(() => readConfig(settings, { DATABASE_URL, [name]: value })).toThrow(
    new ConfigError(`${name} is wrong: ${sentence}.`),
  );
});

test.each([
  ['KAFKA_ACKS', 'none', 'all,leader'],
  ['KAFKA_COMPRESSION', 'brotli', 'none,gzip,snappy,lz4'],
  ['NATS_COMPRESSION', 'gzip', 'none,s2'],
])('%s=%s is refused at the start, with what there is', (name, value, choices) => {
  const refused = () => readConfig(settings, { DATABASE_URL, [name]: value });
  expect(refused).toThrow(ConfigError);
  expect(refused).toThrow(name);
  for (const choice of choices.split(',')) expect(refused).toThrow(choice);
});

test('a receiver is given as long as it was set, and as many requests', async () => {
  const receiver = await startReceiver();
  let [atATime, most] = [0, 0];
  receiver.whenAsked = async () => {
    atATime += 1;
    most = Math.max(most, atATime);
    await new Promise((resolve) => setTimeout(resolve, 30));
    atATime -= 1;
  };
  const options = { url: receiver.url, secret: receiver.secret, allowPrivate: true, parallelMax: 3 };
  const three = createWebhookPublisher(options);
  const outcomes = await three.publish(Array.from({ length: 12 }, () => eventsOf(undefined, 1)).flat());
  expect([new Set(kinds(outcomes)), most]).toEqual([new Set(['taken']), 3]);
  await three.close();

  receiver.whenAsked = () => new Promise(() => undefined);
  const hasty = createWebhookPublisher({ ...options, timeoutMs: 500 });
  const start = performance.now();
  const [outcome] = await hasty.publish(eventsOf(undefined, 1));
  expect(outcome).toMatchObject({ outcome: 'unavailable' });
  expect(performance.now() - start).toBeLessThan(5_000);
  await hasty.close();
  await receiver.stop();
});
