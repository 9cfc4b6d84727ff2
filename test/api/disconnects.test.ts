/** A disconnected client is noticed, also by requests whose turn to be answered had not come. */
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { fastify } from 'fastify';
import { whenResponseEnds } from '../../api/http/disconnects.js';
import { eventually } from '../support/conditions.js';

const AHEAD = 20;
const app = fastify();
let begun = 0;
let over = 0;
let finish: () => void = () => undefined;
app.addHook('onRequest', (_request, reply, done) => {
  begun++;
  whenResponseEnds(reply, () => over++);
  done();
});
app.get('/slow', () => new Promise((resolve) => (finish = () => resolve('done'))));
app.get('/', async () => 'done');
afterEach(() => app.close());

test('each pipelined request ends once: when it is answered, or when its connection is closed', async () => {
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const ask = (path: string, times = 1) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(times);

  const leaving = connect(port, '127.0.0.1', () => leaving.write(ask('/slow') + ask('/', AHEAD)));
  await eventually('all are in work', () => begun === 1 + AHEAD);
  expect(over).toBe(0);
  leaving.destroy();
  await eventually('all are over', () => over === 1 + AHEAD);
  finish();

  const staying = connect(port, '127.0.0.1', () => staying.write(ask('/', AHEAD)));
  await eventually('all are answered', () => over === 1 + 2 * AHEAD);
  staying.destroy();
  await eventually('the connection is closed', async () => (await connections()) === 0);
  expect(over).toBe(1 + 2 * AHEAD);
});

const connections = () => new Promise<number>((resolve) => app.server.getConnections((_, count) => resolve(count)));
