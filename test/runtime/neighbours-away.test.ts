/** A neighbour that is away: the line that says so says at which place, and what happened there. It is all that an operator has at 3 a.m. */
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { describeError } from '../../runtime/errors/facts.js';
import { listen } from '../../runtime/listener.js';
import { SAFE } from '../../runtime/logger.js';
import { openTemporal, sentenceOfCore } from '../../runtime/temporal.js';
import { eventually } from '../support/conditions.js';

/** @returns a logger as processes have it, and its lines */
function heard() {
  const lines: string[] = [];
  return { lines, logger: pino({ ...SAFE }, { write: (line: string) => void lines.push(line) }) };
}

test('of Postgres’ notifications', async () => {
  const { lines, logger } = heard();
  const stop = listen('postgresql://u:hidden@127.0.0.1:1/d', 'news', () => undefined, logger);
  const [line = ''] = await eventually('it has failed', () => lines.length > 0 && lines);
  await stop();
  expect(JSON.parse(line)).toMatchObject({
    channel: 'news',
    err: { message: 'connect ECONNREFUSED 127.0.0.1:1', code: 'ECONNREFUSED' },
  });
});

test('of Temporal', async () => {
  const { lines, logger } = heard();
  const link = openTemporal(logger, { TEMPORAL_ADDRESS: '127.0.0.1:1' });
  const [line = ''] = await eventually('it has failed', () => lines.length > 0 && lines);
  await link.close();
  expect(JSON.parse(line)).toMatchObject({
    err: { message: 'TransportError (ConnectionRefused)', code: 'ConnectionRefused' },
  });
});

test('an error that has been described before it is logged is not withheld', () => {
  const { lines, logger } = heard();
  logger.warn({ err: describeError(new Error('ours')) }, 'it failed');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ err: { type: 'Error', message: 'ours' }, msg: 'it failed' });
});

test('an answer of Temporal’s is its code, and nothing that the server wrote into it', () => {
  const answer = `Status { code: NotFound, message: "canary", details: b"\\x08canary", metadata: MetadataMap { headers: {"x": "canary"} } }`;
  expect(sentenceOfCore(`shutdown_worker rpc errored: ${answer}`)).toBe('shutdown_worker rpc errored: Status NotFound');
  expect(sentenceOfCore(answer.replace('NotFound', "'The service is currently unavailable'"))).toBe(
    'Status The service is currently unavailable',
  );
});
