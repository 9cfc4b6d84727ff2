/**
 * What is delivered, as spans. A batch is a trace of its own, which links each of its events' transactions; in each order's trace stands
 * the delivery of its event. Nothing is taken from what the relay happens to be doing: only what the event itself says counts.
 */
import type { CloudEvent } from '../contracts/events.js';
import { isSampled, isTracing, type Span, startSpan } from '../runtime/tracing/spans.js';
import type { PublishOutcome } from './publishers/publisher.js';

const SYSTEMS: Record<string, string> = { kafka: 'kafka', nats: 'nats', rabbitmq: 'rabbitmq', webhook: 'http' };

/** @returns the outcomes of `publish` @param publish sends the batch */
export async function tracedPublish(
  destination: string,
  batch: readonly CloudEvent[],
  publish: () => Promise<PublishOutcome[]>,
): Promise<PublishOutcome[]> {
  const traced = isTracing() ? batch.filter(({ traceparent }) => isSampled(traceparent)) : [];
  if (traced.length === 0) return publish();
  const startedAtMs = Date.now();
  const span = startSpan(`send ${destination}`, {
    kind: 'producer',
    parent: null,
    isRecorded: true, // as its events are
    links: traced.map(({ traceparent = '' }) => traceparent),
    attributes: { ...attributesOf(destination), 'messaging.batch.message_count': batch.length },
  });
  try {
    const outcomes = await publish();
    batch.forEach((event, place) => {
      if (isSampled(event.traceparent))
        traceDelivery(destination, event, outcomes[place], { startedAtMs, within: span });
    });
    if (outcomes.some(({ outcome }) => outcome !== 'taken')) span?.fail('not-taken');
    return outcomes;
  } finally {
    span?.end();
  }
}

function traceDelivery(
  destination: string,
  { id, type, subject, traceparent }: CloudEvent,
  { outcome }: PublishOutcome = { outcome: 'not-sent' },
  { startedAtMs, within }: { startedAtMs: number; within: Span | undefined },
): void {
  const span = startSpan(`deliver ${type}`, {
    kind: 'producer',
    parent: traceparent ?? null,
    startedAtMs,
    links: within ? [within.traceparent] : [],
    attributes: {
      ...attributesOf(destination),
      'messaging.message.id': id,
      'order_saga.order_id': subject,
      'order_saga.outcome': outcome,
    },
  });
  if (outcome !== 'taken') span?.fail(outcome);
  span?.end();
}

const attributesOf = (destination: string) => ({
  'messaging.system': SYSTEMS[destination] ?? destination,
  'messaging.operation.type': 'send',
  'messaging.destination.name': destination,
});
