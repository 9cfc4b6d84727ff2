/** What a saga's history says it has done: by that a database is older than Temporal, if it knows nothing of it. */
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
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
  const names = new Map<string, string>();
  for (const event of events ?? []) {
    const { activityTaskScheduledEventAttributes: scheduled, activityTaskCompletedEventAttributes: completed } = event;
    if (scheduled) names.set(`${event.eventId}`, scheduled.activityType?.name ?? '');
    if (completed) note(told, names.get(`${completed.scheduledEventId}`), completed.result?.payloads?.[0]);
    const { markerRecordedEventAttributes: marker } = event;
    if (marker?.markerName !== LOCAL_ACTIVITY || marker.failure) continue;
    const about = decoded(marker.details?.['data']?.payloads?.[0]) as { activity_type?: string } | undefined;
    note(told, about?.activity_type, marker.details?.['result']?.payloads?.[0]);
  }
  return told;
}

type Payload = Parameters<typeof defaultPayloadConverter.fromPayload>[0];

function note(told: Told, name: string | undefined, result: Payload | null | undefined): void {
  if (!name) return;
  told.done.add(name);
  if (name !== BEGIN_UNWINDING) return;
  const { outcome, reason } = (decoded(result) ?? {}) as { outcome?: unknown; reason?: unknown };
  if (outcome === 'confirmed') return; // the confirmation came first: nothing is taken back
  told.unwinding = CANCELLATION_REASONS.find((known) => known === reason) ?? 'OPERATOR';
}

const decoded = (payload: Payload | null | undefined): unknown =>
  payload ? defaultPayloadConverter.fromPayload(payload) : undefined;
