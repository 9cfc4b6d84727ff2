/** What a saga's history says it has done: by that a database is older than Temporal, if it knows nothing of it. */
import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { codecsOf, readPayload } from '../../sagas/payloads/reading.js';
import { CANCELLATION_REASONS, type CancellationReason } from '../../contracts/orders.js';

export type Told = {
  /** Activities that have come to their end without a failure. */
  done: Set<string>;
  /** Why the saga has begun to unwind, if it has. */
  unwinding: CancellationReason | null;
};

const ANSWER_LIMIT_MS = 10_000;
const BEGIN_UNWINDING = 'beginUnwinding';
const LOCAL_ACTIVITY = 'core_local_activity';

export async function readTold(client: Client, workflowId: string, runId: string): Promise<Told> {
  const told: Told = { done: new Set(), unwinding: null };
  const { events } = await client.withDeadline(Date.now() + ANSWER_LIMIT_MS, () =>
    client.workflow.getHandle(workflowId, runId).fetchHistory(),
  );
  const read = (payload: Payload | null | undefined) => readPayload(codecsOf(client), payload);
  const names = new Map<string, string>();
  for (const event of events ?? []) {
    const { activityTaskScheduledEventAttributes: scheduled, activityTaskCompletedEventAttributes: completed } = event;
    if (scheduled) names.set(`${event.eventId}`, scheduled.activityType?.name ?? '');
    if (completed) note(told, names.get(`${completed.scheduledEventId}`), await read(completed.result?.payloads?.[0]));
    const { markerRecordedEventAttributes: marker } = event;
    if (marker?.markerName !== LOCAL_ACTIVITY || marker.failure) continue;
    const about = (await readPayload([], marker.details?.['data']?.payloads?.[0])) as Marker | undefined;
    note(told, about?.activity_type, await read(marker.details?.['result']?.payloads?.[0]));
  }
  return told;
}

/** The SDK's core writes it, and no codec encrypts it. */
type Marker = { activity_type?: string };

function note(told: Told, name: string | undefined, result: unknown): void {
  if (!name) return;
  told.done.add(name);
  if (name !== BEGIN_UNWINDING) return;
  const { outcome, reason } = (result ?? {}) as { outcome?: unknown; reason?: unknown };
  if (outcome === 'confirmed') return; // the confirmation came first: nothing is taken back
  told.unwinding = CANCELLATION_REASONS.find((known) => known === reason) ?? 'OPERATOR';
}
