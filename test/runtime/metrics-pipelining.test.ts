/** Who asks the metrics port again before it has been answered. */
import { connect } from 'node:net';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { freePort } from '../../local/processes/ports.js';
import { createHealth } from '../../runtime/health.js';
import { startMetrics } from '../../runtime/metrics.js';

test('a connection that pipelines is closed; one that asks again after its answer is not', async () => {
  const port = await freePort();
  const logger = pino({ level: 'silent' });
  const stop = startMetrics({
    host: '127.0.0.1',
    port,
    role: 'test',
    health: createHealth([]),
    connectionsMax: 9,
    logger,
  });
  const ask = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const answersTo = (times: number, again: number) =>
    new Promise<number>((resolve) => {
      let answers = 0;
      const socket = connect(port, '127.0.0.1', () => socket.write(ask.repeat(times)));
      socket.on('data', (chunk) => {
        answers += String(chunk).split('HTTP/1.1 200').length - 1;
        if (answers <= again) socket.write(ask);
        else if (times === 1) socket.destroy();
      });
      socket.on('error', () => undefined).once('close', () => resolve(answers));
    });
  expect(await answersTo(1, 5)).toBe(6);
  expect(await answersTo(500, 0)).toBeLessThanOrEqual(1);
  await stop();
});
