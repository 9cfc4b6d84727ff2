/** Sagas in flight survive a deploy: today's code replays every history that was ever recorded. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { STEPS, UNDOS } from '../../contracts/plan.js';
import { HISTORIES, workflowBundle } from '../support/histories.js';
import { quietTemporal } from '../support/quiet.js';

const files = readdirSync(HISTORIES).filter((file) => file.endsWith('.json'));
type Marker = { markerName: string; details: Record<string, { payloads: { data: string }[] }> };
type Scheduled = { activityType: { name: string } };
type RecordedHistory = {
  events: {
    eventType: string;
    markerRecordedEventAttributes?: Marker;
    activityTaskScheduledEventAttributes?: Scheduled;
  }[];
};
const read = (file: string) => JSON.parse(readFileSync(join(HISTORIES, file), 'utf8')) as RecordedHistory;
const decoded = (data: string) => Buffer.from(data, 'base64').toString();

/** What a recorded saga's markers of a name say. */
const markersOf = <T>(file: string, name: string): T[] =>
  read(file)
    .events.flatMap(({ markerRecordedEventAttributes: marker }) => (marker?.markerName === name ? marker : []))
    .flatMap(({ details: { data, ...others } }) => (data ? [data] : Object.values(others)))
    .flatMap(({ payloads }) => payloads.map(({ data }) => JSON.parse(decoded(data)) as T));
/** The patches that a recorded saga has passed. */
const patchesPassed = (file: string): string[] => markersOf<{ id: string }>(file, 'core_patch').map(({ id }) => id);
/** The steps and undos that it has carried out, as local activities or ordinary ones. */
const carriedOut = (file: string): string[] => [
  ...markersOf<{ activity_type: string }>(file, 'core_local_activity').map((marker) => marker.activity_type),
  ...read(file).events.flatMap(({ activityTaskScheduledEventAttributes: task }) => task?.activityType.name ?? []),
];
/** The patches that today's code asks for. */
const patchesAsked = (): string[] =>
  readdirSync('workflows', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) =>
      [...readFileSync(join('workflows', file), 'utf8').matchAll(/\bpatched\('([^']+)'\)/g)].map(([, id = '']) => id),
    );

let bundle: { code: string };
beforeAll(() => {
  quietTemporal();
  bundle = { code: readFileSync(workflowBundle(), 'utf8') };
});

describe('the corpus of histories', () => {
  test('has the stories that matter', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'begun-anew.at-once.json',
        'begun-anew.unpatched.json', // before 'begin-anew'
        'compensated-as-it-ended.noted.json',
        'compensated-as-it-ended.unpatched.json', // before 'late-unanswered'
        'confirmed.json',
        'declined.json',
        'out-of-stock.json',
        'parked-and-confirmed.at-once.json',
        'parked-and-confirmed.unpatched.json', // before 'confirmed-after-all'
        'older-and-in-need.released.json', // by code without a count, as those that are touched by today's
        'older-and-probed.released.json',
        'parked-then-probed.counted.json',
        'parked-then-retried.json',
        'skipped-at-the-deadline.counted.json',
        'timeout-after-charge.json',
        'undecided-unmarked.json', // before 'mark-undecided'
        'undecided.at-once.json', // before 'retry-undecided'
        'undo-failing.json',
        'undo-needs-operator.counted.json',
        'whole-budget.in-hand.json',
      ]),
    );
  });

  // Without one, a patch that is changed or removed fails no test.
  test('has a saga that has passed each patch of today’s code', () => {
    const asked = patchesAsked();
    expect(asked).toContain('begin-anew');
    expect(files.flatMap(patchesPassed)).toEqual(expect.arrayContaining(asked));
  });

  // Without one, a change to what a new step does in the workflow fails no test.
  test.each([...STEPS, ...UNDOS])('has a saga that has carried out %s of the plan', (name) => {
    expect(files.filter((file) => carriedOut(file).includes(name))).not.toEqual([]);
  });

  test.each(files)('%s replays on today’s code', async (file) => {
    await Worker.runReplayHistory({ workflowBundle: bundle }, read(file), 'order-1');
  });

  test('would catch a change: a history without its first marker does not replay', async () => {
    const history = read('confirmed.json');
    const marker = history.events.findIndex((event) => event.eventType === 'EVENT_TYPE_MARKER_RECORDED');
    expect(marker).toBeGreaterThan(0);
    const changed = structuredClone(history);
    const details = changed.events[marker]?.markerRecordedEventAttributes?.details ?? {};
    for (const [key, value] of Object.entries(details)) {
      const payload = value.payloads[0];
      if (key === 'data' && payload) {
        const data = decoded(payload.data).replace('reserveInventory', 'shipOrder');
        payload.data = Buffer.from(data).toString('base64');
      }
    }
    await expect(Worker.runReplayHistory({ workflowBundle: bundle }, changed, 'order-1')).rejects.toThrow(
      DeterminismViolationError,
    );
  });
});
