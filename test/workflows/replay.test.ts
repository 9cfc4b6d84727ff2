/** Sagas in flight survive a deploy: today's code replays every history that was ever recorded. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { HISTORIES } from '../support/histories.js';
import { workflowBundle } from '../support/saga.js';

const files = readdirSync(HISTORIES).filter((file) => file.endsWith('.json'));
const read = (file: string) =>
  JSON.parse(readFileSync(join(HISTORIES, file), 'utf8')) as { events: { eventType: string }[] };
let bundle: { code: string };
beforeAll(() => {
  bundle = { code: readFileSync(workflowBundle(), 'utf8') };
});

describe('the corpus of histories', () => {
  test('has the stories that matter', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'confirmed.json',
        'declined.json',
        'out-of-stock.json',
        'parked-then-retried.json',
        'timeout-after-charge.json',
        'undecided-unmarked.json', // before 'mark-undecided'
        'undecided.at-once.json',
        'undo-failing.json',
      ]),
    );
  });

  test.each(files)('%s replays on today’s code', async (file) => {
    await Worker.runReplayHistory({ workflowBundle: bundle }, read(file), 'order-1');
  });

  test('would catch a change: a history without its first marker does not replay', async () => {
    const history = read('confirmed.json');
    const marker = history.events.findIndex((event) => event.eventType === 'EVENT_TYPE_MARKER_RECORDED');
    expect(marker).toBeGreaterThan(0);
    const changed = structuredClone(history) as {
      events: { markerRecordedEventAttributes?: { details: Record<string, { payloads: { data: string }[] }> } }[];
    };
    const details = changed.events[marker]?.markerRecordedEventAttributes?.details ?? {};
    for (const [key, value] of Object.entries(details)) {
      const payload = value.payloads[0];
      if (key === 'data' && payload) {
        const data = Buffer.from(payload.data, 'base64').toString().replace('reserveInventory', 'shipOrder');
        payload.data = Buffer.from(data).toString('base64');
      }
    }
    await expect(Worker.runReplayHistory({ workflowBundle: bundle }, changed, 'order-1')).rejects.toThrow(
      DeterminismViolationError,
    );
  });
});
