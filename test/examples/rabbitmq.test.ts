/** RabbitMQ's example, run as its readers run it: every effect is had exactly once. */
import { expect, test } from '@jest/globals';
import { Connection, type Envelope } from 'rabbitmq-client';
import { v7 as uuidv7 } from 'uuid';
import { eventually } from '../support/conditions.js';
import { type Message, type Parts, provenWithBroker } from './brokers.js';
import { hasSold, sold } from './consumer.js';
import { eventOf, publish } from './proof.js';

async function send(address: string, { event, headers, body }: Message): Promise<void> {
  await publishRaw(address, { exchange: 'orders', routingKey: event.type, messageId: event.id, headers }, body);
}

async function publishRaw(address: string, envelope: Envelope, body: string): Promise<void> {
  const connection = new Connection(address);
  const publisher = connection.createPublisher({ confirm: true });
  await publisher.send({ contentType: 'application/json', durable: true, ...envelope }, Buffer.from(body));
  await publisher.close();
  await connection.close();
}

const confirmed = () => eventOf(uuidv7(), 1, 'order.confirmed', { total: { amount: 7, currency: 'USD' } });

function aBodyThatCannotBeWrittenAgain(parts: () => Parts): void {
  test('a body that its client can read and nobody can write again is a dead letter, and comes once', async () => {
    const { broker, consumer } = parts();
    const [deep, next] = [confirmed(), confirmed()];
    const { orders } = await sold(consumer);
    await send(broker.address, { event: deep, headers: {}, body: '['.repeat(100_000) + ']'.repeat(100_000) });
    consumer.start();
    await publish(broker.settings, [next]);
    await hasSold(consumer, orders + 1);
    const of = (msg: string) => consumer.lines.filter((line) => line.msg === msg && line.eventId === deep.id);
    await eventually('it is laid aside', () => of('dead').length > 0);
    expect(consumer.deadLetters('discard', '--subject', deep.subject).letters).toMatchObject([{ id: deep.id }]);
    expect(of('dead')).toHaveLength(1);
  }, 60_000);
}

function whatTheBrokerDrops(parts: () => Parts): void {
  test('what RabbitMQ itself has laid into the dead letters is listed with its reason, and replayed', async () => {
    const { broker, consumer } = parts();
    const event = confirmed();
    const { orders } = await sold(consumer);
    const headers = Object.fromEntries(
      Object.entries(event)
        .filter(([name]) => name !== 'data')
        .map(([name, value]) => [`cloudEvents:${name}`, value]),
    );
    const connection = new Connection(broker.address);
    await connection.queueDeclare({ queue: 'gives-up', arguments: { 'x-dead-letter-exchange': 'orders.dead' } });
    await publishRaw(
      broker.address,
      { routingKey: 'gives-up', messageId: event.id, headers },
      JSON.stringify(event.data),
    );
    const channel = await connection.acquire();
    const message = await eventually('it is there', () => channel.basicGet({ queue: 'gives-up' }));
    channel.basicNack({ deliveryTag: message?.deliveryTag, requeue: false });
    await channel.close();
    await connection.close();
    const letters = await eventually('it is listed', () => {
      const all = consumer.deadLetters('list').letters;
      return all.length > 0 && all;
    });
    expect(letters).toMatchObject([
      { id: event.id, subject: event.subject, sequence: 1, cause: 'dropped: RabbitMQ says rejected' },
    ]);
    expect(consumer.deadLetters('replay', '--cause', 'dropped').code).toBe(0);
    expect((await sold(consumer)).orders).toBe(orders + 1);
    expect(consumer.deadLetters('list').letters).toEqual([]);
  }, 60_000);
}

function aPlaceMadeOtherwise(parts: () => Parts): void {
  test('a place for dead letters that its operator has made otherwise is used as it is', async () => {
    const { broker, consumer } = parts();
    const connection = new Connection(broker.address);
    await connection.queueDelete({ queue: 'orders.dead' });
    await connection.queueDeclare({ queue: 'orders.dead', durable: true });
    await connection.close();
    const poor = eventOf(uuidv7(), 1, 'order.confirmed', {});
    consumer.start();
    await publish(broker.settings, [poor]);
    await eventually('it is laid aside', () =>
      consumer.lines.some(({ msg, eventId }) => msg === 'dead' && eventId === poor.id),
    );
    expect(consumer.deadLetters('discard', '--all').letters).toMatchObject([{ id: poor.id }]);
  }, 60_000);
}

await provenWithBroker('rabbitmq', 'cloudEvents:', send, undefined, (parts) => {
  aBodyThatCannotBeWrittenAgain(parts);
  whatTheBrokerDrops(parts);
  aPlaceMadeOtherwise(parts);
});
