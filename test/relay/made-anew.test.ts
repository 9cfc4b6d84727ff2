/** A stream that has vanished is made anew, which is said: as a warning, if the destination had taken events before. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator, headers } from '@nats-io/transport-node';
import { pino } from 'pino';
import { sayWhatIsMade } from '../../relay/publishers/made.js';
import { createNatsPublisher } from '../../relay/publishers/nats.js';
import { noteOnce } from '../../relay/standing.js';
import type { Broker } from '../../testbed/brokers/start.js';
import { describeWithBroker } from '../support/brokers.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { deliverAll, someOrders, startTestRelay } from './relays.js';

await describeWithBroker('nats', (start) => {
  let t: TestDatabase;
  let broker: Broker;
  beforeAll(async () => {
    [t, broker] = await Promise.all([createTestDatabase(), start()]);
    await stock(t.db, 'A', 100);
  }, 60_000);
  afterAll(async () => {
    await broker?.stop();
    await t?.drop();
  });

  test('a stream that is new is told of, one that has vanished is warned of', async () => {
    const said: { level: number; destination: string; what?: string; takenAt?: string }[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => said.push(JSON.parse(line)) });
    const sayMade = sayWhatIsMade(t.db, logger);
    const client = { connect, credsAuthenticator, headers, jetstreamManager };
    const publish = async () => {
      const onMade = (what: string) => sayMade('nats', what);
      const publisher = createNatsPublisher(client, { url: broker.address, create: true, onMade });
      await someOrders(t, 1);
      const relay = await startTestRelay(t, publisher);
      expect(await deliverAll(relay)).toBeGreaterThan(0);
      await noteOnce(relay);
      await publisher.close();
      await relay.release();
    };
    await publish();
    const [first] = await eventually('it is told of', () => said.length === 1 && said);
    expect(first).toMatchObject({ level: 30, destination: 'nats', what: 'stream "orders"' });

    await publish();
    expect(said).toHaveLength(1); // it was there

    const connection = await connect({ servers: new URL(broker.address).host });
    await (await jetstreamManager(connection)).streams.delete('orders');
    await connection.close();
    await publish();
    const [, again] = await eventually('it is warned of', () => said.length === 2 && said);
    expect(again).toMatchObject({ level: 40, destination: 'nats', takenAt: expect.any(String) });
  }, 60_000);
});
