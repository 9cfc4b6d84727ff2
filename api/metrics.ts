/** The API's metrics. Sum them over all processes with this role. */
import { Counter, Gauge, Histogram } from 'prom-client';
import { onScrape, show } from '../runtime/metrics.js';
import type { SagaSlots } from '../sagas/slots.js';
import type { SagaDispatcher } from './dispatcher.js';

export const ordersAccepted = new Counter({
  name: 'order_saga_orders_accepted_total',
  help: 'Orders that have become durable; replays are none',
  registers: [],
});

export const postDuration = new Histogram({
  name: 'order_saga_order_post_duration_seconds',
  help: 'POST /orders until its answer, by status code; without those that prefer to wait for the end',
  labelNames: ['code'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  registers: [],
});

export const requestsRefused = new Counter({
  name: 'order_saga_requests_refused_total',
  help: 'Requests answered with a problem, by status and reason: the problem’s code, or for 429 what was used up',
  labelNames: ['status', 'reason'],
  registers: [],
});

export const streamsOpen = new Gauge({
  name: 'order_saga_event_streams',
  help: 'Event streams that are open',
  registers: [],
});

export const streamsRefused = new Counter({
  name: 'order_saga_event_streams_refused_total',
  help: 'Event streams that were refused because too many are open, of the caller or of the process',
  registers: [],
});

export const slowReadersClosed = new Counter({
  name: 'order_saga_event_streams_too_slow_total',
  help: 'Event streams that were closed because their readers did not take what was sent',
  registers: [],
});

export const waitsRefused = new Counter({
  name: 'order_saga_waits_refused_total',
  help: 'Orders that were answered at once although the client preferred to wait, because too many wait',
  registers: [],
});

const startsWaiting = new Gauge({
  name: 'order_saga_starts_waiting',
  help: 'Orders that this process has accepted and whose saga waits for its start',
  registers: [],
});

const startsWaitingOldest = new Gauge({
  name: 'order_saga_starts_waiting_oldest_seconds',
  help: 'For how long the first of them has waited',
  registers: [],
});

const sagasAtWork = new Gauge({
  name: 'order_saga_sagas_at_work',
  help: 'Sagas that this process has begun and that neither have ended nor wait for the payment gateway',
  registers: [],
});

/** @param slots of the worker in this process, if it has one */
export function showStarts({ queue }: SagaDispatcher, slots: SagaSlots | undefined): void {
  show(slots ? [startsWaiting, startsWaitingOldest, sagasAtWork] : [startsWaiting, startsWaitingOldest]);
  onScrape(async () => {
    const { waiting, oldestMs } = queue();
    startsWaiting.set(waiting);
    startsWaitingOldest.set(oldestMs / 1_000);
    if (slots) sagasAtWork.set(slots.atWork());
  });
}

export const showApiMetrics = (): void =>
  show([ordersAccepted, postDuration, requestsRefused, streamsOpen, streamsRefused, slowReadersClosed, waitsRefused]);
