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
  // 0.2 is the objective, 0.5 and 1 are what alarms ask for; each costs a series per status code.
  buckets: [0.01, 0.05, 0.1, 0.2, 0.5, 1, 5],
  enableExemplars: true,
  registers: [],
});
// From the start on: Prometheus takes no series' first sample for a rise, and so would miss the first failures of an outage.
for (const code of ['500', '503']) postDuration.zero({ code });

export const requestDuration = new Histogram({
  name: 'order_saga_http_request_duration_seconds',
  help: 'Requests by route, until their answer; without streams and what prefers to wait',
  labelNames: ['method', 'route'],
  buckets: [0.5],
  registers: [],
});

export const requestsFailed = new Counter({
  name: 'order_saga_http_request_errors_total',
  help: 'Requests by route that were answered with a status of 400 or more: 4xx is the client’s, 5xx ours',
  labelNames: ['method', 'route', 'code'],
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

/** @param slots of the worker in this process; none are at work here if it has none */
export function exposeStarts({ queue }: SagaDispatcher, slots: SagaSlots | undefined): void {
  onScrape(async () => {
    const { waiting, oldestMs } = queue();
    startsWaiting.set(waiting);
    startsWaitingOldest.set(oldestMs / 1_000);
    if (slots) sagasAtWork.set(slots.atWork());
  });
}

export const apiMetrics = [
  ordersAccepted,
  postDuration,
  requestDuration,
  requestsFailed,
  requestsRefused,
  streamsOpen,
  streamsRefused,
  slowReadersClosed,
  waitsRefused,
  startsWaiting,
  startsWaitingOldest,
  sagasAtWork,
];
export const showApiMetrics = (): void => show(apiMetrics);
