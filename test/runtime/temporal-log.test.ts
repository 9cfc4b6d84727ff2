/** The SDK's own log lines: what a process does with them, an order's worth of which come with every order. */
import { afterAll, expect, test } from '@jest/globals';
import { Runtime } from '@temporalio/worker';
import { pino } from 'pino';
import { SAFE } from '../../runtime/logger.js';
import { installTemporalRuntime } from '../../runtime/temporal.js';
import { eventually } from '../support/conditions.js';

afterAll(() => Runtime.instance().shutdown());

test('a line below a warning is not even looked into; a warning is logged with its place, and nothing that it carries', async () => {
  const lines: string[] = [];
  installTemporalRuntime(pino({ ...SAFE, level: 'trace' }, { write: (line: string) => void lines.push(line) }));
  const { logger } = Runtime.instance();
  let looks = 0;
  const whatItTellsOf = {
    get activation() {
      looks++;
      return 'a whole activation';
    },
  };
  for (const level of ['trace', 'debug', 'info'] as const) logger[level]('Got workflow activation', whatItTellsOf);
  logger.warn('Workflow task failed', { taskQueue: 'order-saga', payload: 'canary' });
  await eventually('the warning is logged', () => lines.length > 0);
  expect(looks).toBe(0);
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    expect.objectContaining({ msg: 'Workflow task failed', taskQueue: 'order-saga' }),
  ]);
  expect(lines.join()).not.toContain('canary');
});
