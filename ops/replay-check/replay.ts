/** Replaying histories on a workflow bundle, and what an incompatible one expected where the history has something else. */
import { readFileSync } from 'node:fs';
import { type DataConverter, defaultPayloadConverter } from '@temporalio/common';
import type { History } from './histories.js';
import { usage } from '../exit.js';

export type Incompatible = {
  workflowId: string;
  runId: string;
  /** The event that the candidate does not produce; null where the SDK names none. */
  event: { id: number; type: string; of: string | null } | null;
  /** What the bundle does at that event, and what the history has, as the SDK says it; null where it does not. */
  command: { found: string | null; expected: string | null };
  error: string;
};

export type Replayed = { count: number; incompatible: Incompatible[] };
type Source = AsyncIterable<History> | Iterable<History>;

/** @throws OpsError usage: there is no bundle */
export async function replayOn(
  path: string,
  histories: Source,
  seen: ReadonlyMap<string, History['history']>,
  dataConverter: DataConverter,
): Promise<Replayed> {
  const code = readBundle(path);
  const { Worker } = await quietWorker();
  const incompatible: Incompatible[] = [];
  let count = 0;
  for await (const { workflowId, error } of Worker.runReplayHistories(
    { workflowBundle: { code }, dataConverter },
    histories,
  )) {
    count++;
    if (error) incompatible.push(describe(workflowId, error.message, seen.get(workflowId)));
  }
  return { count, incompatible };
}

function readBundle(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (err) {
    throw usage(
      `There is no workflow bundle at ${path} (${(err as NodeJS.ErrnoException).code}): \`npm run build\` makes dist/workflow-bundle.js.`,
    );
  }
}

/** The SDK's core is large, and only this command needs it; by itself it would log every replay that fails. */
async function quietWorker() {
  const worker = await import('@temporalio/worker');
  worker.Runtime.install({
    logger: new worker.DefaultLogger('ERROR', () => undefined),
    telemetryOptions: { logging: { forward: {}, filter: 'off' } },
  });
  return worker;
}

/** `HistoryEvent(id: 6, Some(ActivityTaskScheduled))`, `event 6`, … */
const EVENT_ID = /(?:\(id: |event id[: ]+|event )(\d+)/i;
/** `Activity type of scheduled event 'x' does not match activity type of activity command 'y'`, and the like for markers. */
const MISMATCH = /'([^']*)'[^']* does not match [^']*'([^']*)'/;

function describe(name: string, error: string, history: History['history'] | undefined): Incompatible {
  const [workflowId = '', runId = ''] = name.split('/');
  const [, id] = EVENT_ID.exec(error) ?? [];
  const [, expected = null, found = null] = MISMATCH.exec(error) ?? [];
  return {
    ...{ workflowId, runId },
    event: eventOf(history, id === undefined ? undefined : Number(id), expected),
    command: { found, expected },
    error: error.replaceAll(/\s+/g, ' ').slice(0, 500),
  };
}

type Event = NonNullable<NonNullable<History['history']['events']>[number]>;

/** Where the SDK names no event, it is the first that carried out what the history has. */
function eventOf(
  history: History['history'] | undefined,
  id: number | undefined,
  expected: string | null,
): Incompatible['event'] {
  const events = history?.events ?? [];
  const isMeant = (event: Event) =>
    id === undefined ? expected !== null && activityOf(event) === expected : Number(event.eventId) === id;
  const event = events.find(isMeant);
  if (!event) return null;
  const attributes = Object.entries(event).find(([key, value]) => key.endsWith('EventAttributes') && value);
  const type = attributes?.[0].replace(/EventAttributes$/, '') ?? 'unknown';
  return { id: Number(event.eventId), type, of: activityOf(event) };
}

/** A local activity is a marker, whose details say which it was. */
function activityOf({
  activityTaskScheduledEventAttributes,
  markerRecordedEventAttributes: marker,
}: Event): string | null {
  const scheduled = activityTaskScheduledEventAttributes?.activityType?.name;
  if (scheduled) return scheduled;
  const [data] = marker?.details?.['data']?.payloads ?? [];
  return data ? (defaultPayloadConverter.fromPayload<{ activity_type?: string }>(data).activity_type ?? null) : null;
}
