/** Wrong credentials are weather: somebody mends them. What is told of them must not contain them. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPublishers } from '../../../relay/publishers/configured.js';
import { readConfig } from '../../../runtime/config.js';
import { settings } from '../../../runtime/settings.js';
import { type Broker, startBroker } from '../../../local/brokers.js';
import { describeWithBroker } from '../../support/brokers.js';
import { eventsOf } from './contract.js';

const DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/nothing';

for (const [name, extra] of [
  ['nats', { authorization: '{ user: relay, password: secret }' }],
  ['rabbitmq', { default_user: 'relay', default_pass: 'secret' }],
] as const) {
  await describeWithBroker(name, () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await startBroker(name, extra);
    }, 120_000);
    afterAll(() => broker?.stop());

    const publish = async (password: string) => {
      const [variable = '', address = ''] = Object.entries(broker.settings)[0] ?? [];
      const url = Object.assign(new URL(address), { username: 'relay', password });
      const [publisher] = await createPublishers(readConfig(settings, { DATABASE_URL, [variable]: url.href }));
      const outcomes = await publisher?.publish(eventsOf(undefined, 1));
      await publisher?.close();
      return outcomes?.[0];
    };

    test('takes events from whoever has the password in the URL', async () => {
      expect(await publish('secret')).toEqual({ outcome: 'taken' });
    }, 30_000);

    test('with a wrong password is unavailable at once, and the error says why but not the password', async () => {
      const start = performance.now();
      const sent = await publish('hunter2');
      expect(performance.now() - start).toBeLessThan(5_000);
      expect(sent).toMatchObject({ outcome: 'unavailable' });
      const { message, cause } = (sent as { error: Error }).error;
      expect(message).toMatch(/authoriz|login was refused/i);
      expect(`${message} ${cause}`).not.toContain('hunter2');
    }, 30_000);
  });
}
