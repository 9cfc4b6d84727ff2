/** For each alarm: what just does not raise it, what does, and that it clears. Read by promtool, minute by minute. */
import { absent, type AlarmCase, flapping, perMinute, secondsAgo } from './promtool.js';

const is = (name: string, labels: string): string => `order_saga_${name}{${labels},role="relay"}`;
const stuck = (failure: string) => is('sagas_needing_attention', `step="chargePayment",failure="${failure}"`);
const posts = (labels: string) => `order_saga_order_post_duration_seconds_${labels}`;
const ends = (outcome: string) => is('orders_total', `outcome="${outcome}"`);
const due = (final: string) => is('orders_due_total', `final="${final}"`);
const gateway = (outcome: string) =>
  `order_saga_gateway_requests_total{call="charge",outcome="${outcome}",role="worker"}`;
const started = (role: string) => `order_saga_process_started_timestamp_seconds{role="${role}"}`;
const disk = (what: string) => `node_filesystem_${what}_bytes{instance="db",mountpoint="/data",fstype="ext4"}`;

/** Two relays say the same, and it is counted once. */
const byBoth = (series: string, levels: AlarmCase['series'][string]) => ({
  [series.replace('}', ',instance="a"}')]: levels,
  [series.replace('}', ',instance="b"}')]: levels,
});

export const CASES: AlarmCase[] = [
  {
    alert: 'SagasNeedAttention',
    series: byBoth(stuck('GatewayUnknown'), [0, 1]),
    summary: '1 sagas will not end without someone',
  },
  {
    alert: 'SagasNeedAttention',
    what: 'of those that a brake holds',
    series: { [stuck('ChargingHeld')]: [9, 9], [stuck('GatewayUnknown')]: [0, 1] },
    summary: '1 sagas will not end without someone',
  },
  {
    alert: 'BrakeEngaged',
    labels: { brake: 'charging' },
    series: byBoth(is('brake_engaged', 'brake="charging"'), [0, 1]),
    minutes: [70, 70, 10],
    summary: 'operators have held back charging for more than an hour',
  },
  {
    alert: 'OperationPaused',
    series: byBoth(is('operations_open', 'state="paused-by-itself"'), [0, 1]),
    summary: '1 operations on many sagas or letters have paused by themselves: what they do does not help',
  },
  {
    alert: 'NoWorker',
    series: { [stuck('NO_POLLERS')]: [0, 2], [stuck('GatewayUnknown')]: [1, 1] },
    summary: '2 orders wait for a worker that does not come',
  },
  {
    alert: 'WorkflowTasksFail',
    series: { [stuck('WORKFLOW_TASK_FAILING')]: [0, 2], [stuck('NO_POLLERS')]: [1, 1] },
    summary: 'the code of 2 sagas fails: a bug, or a release that does not fit',
  },
  {
    alert: 'OrdersWithoutSaga',
    series: { 'order_saga_unstarted_orders_oldest_seconds{role="relay"}': [60, 61] },
    summary: 'an order has waited 1m 1s for its saga to start',
  },
  {
    alert: 'PaymentCircuitOpen',
    series: { 'order_saga_payment_breaker_state{state="open",role="worker"}': [0, 1] },
    summary: 'the payment gateway does not answer',
  },
  {
    alert: 'PaymentCircuitOpen',
    what: 'although scrapes come upon its probes',
    series: {
      'order_saga_payment_breaker_state{state="open",role="worker"}': [0, flapping(1, 0)],
      'order_saga_payment_breaker_state{state="half-open",role="worker"}': [0, flapping(0, 1)],
    },
    summary: 'the payment gateway does not answer',
  },
  {
    alert: 'KeyStoreAway',
    series: { 'order_saga_key_store_away{role="api"}': [0, 1] },
    summary: 'the store of keys does not answer: what is sealed cannot be read',
  },
  {
    alert: 'KeyStoreRefuses',
    series: {
      'order_saga_key_store_calls_total{role="api",call="unwrap",outcome="refused"}': [perMinute(0), perMinute(1)],
    },
    summary: 'the store of keys refuses: a key is gone, or the token has ended',
  },
  {
    alert: 'ReconciliationReported',
    series: {
      [is('reconciliation_findings', 'kind="MISSING_CHARGE",action="reported"')]: [0, 3],
      [is('reconciliation_findings', 'kind="LATE_CHARGE",action="waiting"')]: [1, 1],
    },
    summary: "3 differences between the gateway's ledger and ours wait for a human",
  },
  {
    alert: 'RefundFailed',
    series: {
      [is('reconciliation_findings', 'kind="REFUND_FAILED",action="waiting"')]: [0, 1],
      [is('reconciliation_findings', 'kind="LATE_CHARGE",action="waiting"')]: [1, 1],
    },
    summary: '1 refunds have failed after the gateway had accepted them',
  },
  {
    alert: 'DestinationBehind',
    series: { [is('outbox_lag_seconds', 'destination="webhook"')]: [60, 61] },
    labels: { destination: 'webhook' },
    summary: 'webhook has not taken events for 1m 1s',
  },
  {
    alert: 'DestinationFarBehind',
    series: { [is('outbox_lag_seconds', 'destination="webhook"')]: [300, 301] },
    labels: { destination: 'webhook' },
    summary: 'webhook has not taken events for 5m 1s: its customers notice',
  },
  {
    alert: 'BacklogHigh',
    series: { [is('outbox_backlog_events', 'destination="kafka"')]: [1_000, 1_001] },
    labels: { destination: 'kafka' },
    summary: 'kafka is owed 1001 events',
  },
  {
    alert: 'DeadLetters',
    series: { [is('dead_letters_open', 'destination="webhook",cause="rejected"')]: [0, 1] },
    labels: { destination: 'webhook', cause: 'rejected' },
    summary: '1 events are not taken by webhook: rejected',
  },
  {
    alert: 'ErasureLate',
    series: { 'order_saga_erasures_late{role="relay"}': [0, 1] },
    summary: '1 customers who are to be erased are not, and their deadline is near',
  },
  {
    alert: 'ErasureStalled',
    series: { [is('erasures_stalled', 'cause="erasure-journal"')]: [0, 1] },
    labels: { cause: 'erasure-journal' },
    summary: '1 customers cannot be erased: erasure-journal',
  },
  {
    alert: 'FeedHeldBack',
    series: { 'order_saga_feed_held_seconds{role="relay"}': [30, 31] },
    summary: 'an open transaction has held every reader of events back for 31s',
  },
  {
    alert: 'OrdersSlow',
    series: {
      [posts('bucket{code="201",le="1"}')]: [perMinute(99), perMinute(98)],
      [posts('bucket{code="201",le="5"}')]: [perMinute(100), perMinute(100)],
      [posts('bucket{code="201",le="+Inf"}')]: [perMinute(100), perMinute(100)],
      [posts('count{code="201"}')]: [perMinute(100), perMinute(100)],
    },
    minutes: [20, 30, 30],
    summary: '1 % of POST /orders take longer than 3s',
  },
  {
    alert: 'PostLatencyHigh',
    series: {
      [posts('bucket{code="201",le="0.5"}')]: [perMinute(95), perMinute(90)],
      [posts('bucket{code="201",le="1"}')]: [perMinute(100), perMinute(100)],
      [posts('bucket{code="201",le="+Inf"}')]: [perMinute(100), perMinute(100)],
      [posts('count{code="201"}')]: [perMinute(100), perMinute(100)],
    },
    summary: 'a twentieth of POST /orders take longer than 750ms',
  },
  {
    alert: 'OrdersFail',
    series: {
      [posts('count{code="500"}')]: [perMinute(1), perMinute(2)],
      [posts('count{code="201"}')]: [perMinute(99), perMinute(98)],
    },
    summary: '2% of POST /orders fail',
  },
  {
    alert: 'OrdersFail',
    what: 'not for a few at night',
    series: {
      [posts('count{code="500"}')]: [perMinute(0.3), perMinute(2)],
      [posts('count{code="201"}')]: [perMinute(0.3), perMinute(8)],
    },
    summary: '20% of POST /orders fail',
  },
  {
    alert: 'PostLatencyHigh',
    what: 'not for a few at night',
    series: {
      [posts('bucket{code="201",le="0.5"}')]: [perMinute(2), perMinute(90)],
      [posts('bucket{code="201",le="1"}')]: [perMinute(3), perMinute(100)],
      [posts('bucket{code="201",le="+Inf"}')]: [perMinute(3), perMinute(100)],
      [posts('count{code="201"}')]: [perMinute(3), perMinute(100)],
    },
    summary: 'a twentieth of POST /orders take longer than 750ms',
  },
  {
    alert: 'CompensationRateHigh',
    series: {
      [ends('CANCELLED')]: [perMinute(10), perMinute(20)],
      [ends('CONFIRMED')]: [perMinute(90), perMinute(80)],
    },
    minutes: [20, 30, 30],
    summary: '20% of the orders of the last ten minutes ended as CANCELLED',
  },
  {
    alert: 'CompensationRateHigh',
    what: 'not for a handful of orders',
    series: {
      [ends('CANCELLED')]: [perMinute(0.9), perMinute(2)],
      [ends('CONFIRMED')]: [perMinute(0.9), perMinute(8)],
    },
    minutes: [20, 30, 30],
    summary: '20% of the orders of the last ten minutes ended as CANCELLED',
  },
  {
    alert: 'FactsUnknown',
    series: { [is('facts_up', 'source="temporal"')]: [1, 0], [is('facts_up', 'source="database"')]: [1, 1] },
    labels: { source: 'temporal' },
    summary: 'temporal does not answer; alarms by its facts stand as they were',
  },
  {
    alert: 'NoRelay',
    series: { [is('facts_up', 'source="temporal"')]: [0, absent] },
    summary: 'no process with the role relay is scraped: nothing moves events out, and most alarms are blind',
  },
  {
    alert: 'AuditChainBroken',
    series: { 'order_saga_audit_chain_intact{role="relay"}': [1, 0] },
    summary: 'the audit trail is not what was signed: somebody has changed it, or cut it off',
  },
  {
    alert: 'AuditUnchecked',
    series: {
      'order_saga_audit_checked_timestamp_seconds{role="relay"}': [secondsAgo(300), secondsAgo(360)],
      'order_saga_audit_anchored_timestamp_seconds{role="relay"}': [secondsAgo(10), secondsAgo(10)],
    },
    summary: 'for 6m 0s the audit trail was not verified, or not anchored',
  },
  {
    alert: 'AuditUnchecked',
    what: 'of the anchor',
    series: {
      'order_saga_audit_checked_timestamp_seconds{role="relay"}': [secondsAgo(10), secondsAgo(10)],
      'order_saga_audit_anchored_timestamp_seconds{role="relay"}': [secondsAgo(300), secondsAgo(360)],
    },
    summary: 'for 6m 0s the audit trail was not verified, or not anchored',
  },
  {
    alert: 'InvariantViolated',
    series: {
      'order_saga_invariant_violations{invariant="I1 money",role="worker"}': [0, 2],
      'order_saga_invariant_violations{invariant="I5 one end",role="worker"}': [0, 0],
    },
    labels: { invariant: 'I1 money' },
    summary: '2 violations of I1 money',
  },
  {
    alert: 'VerificationStalled',
    series: {
      'order_saga_verification_timestamp_seconds{pass="new",role="worker"}': [secondsAgo(900), secondsAgo(960)],
      'order_saga_verification_timestamp_seconds{pass="all",role="worker"}': [secondsAgo(3_600), secondsAgo(3_600)],
    },
    summary: 'for 16m 0s no pass over the invariants has come to its end',
  },
  {
    alert: 'VerificationStalled',
    what: 'of all',
    series: {
      'order_saga_verification_timestamp_seconds{pass="new",role="worker"}': [secondsAgo(10), secondsAgo(10)],
      'order_saga_verification_timestamp_seconds{pass="all",role="worker"}': [secondsAgo(86_400), secondsAgo(90_000)],
    },
    summary: 'for 1d 1h 0m 0s no pass over the invariants has come to its end',
  },
  {
    alert: 'UnexpectedErrors',
    series: { 'order_saga_unexpected_errors_total{place="sweep",role="relay"}': [perMinute(0), perMinute(1)] },
    labels: { place: 'sweep' },
    summary: '10 errors that nobody expected, at sweep: see the log',
  },
  {
    alert: 'UnexpectedErrors',
    what: 'a single one, of a place that had none',
    series: { 'order_saga_unexpected_errors_total{place="sweep",role="relay"}': [absent, 1, 1] },
    minutes: [15, 5, 30],
    labels: { place: 'sweep' },
    summary: '1 errors that nobody expected, at sweep: see the log',
  },
  {
    alert: 'ManySagasParked',
    series: byBoth('order_saga_sagas_parked{step="chargePayment",role="relay"}', [5, 6]),
    summary: '6 sagas are parked: usually one cause, a neighbour that is away',
  },
  {
    alert: 'NoPollers',
    series: { [is('pollers', 'kind="workflow"')]: [1, 0], [is('pollers', 'kind="activity"')]: [1, 1] },
    labels: { kind: 'workflow' },
    summary: 'no worker asks Temporal for workflow tasks: sagas stand still',
  },
  {
    alert: 'BuildWithoutWorkers',
    series: byBoth('order_saga_sagas_without_workers{build="order-saga:1.4",role="relay"}', [0, 2]),
    labels: { build: 'order-saga:1.4' },
    summary: 'no worker runs order-saga:1.4, of which 2 sagas are open',
  },
  ...['api', 'worker', 'relay'].map((missing) => ({
    alert: 'RoleMissing',
    what: `of the role ${missing}`,
    series: Object.fromEntries(
      ['api', 'worker', 'relay'].map((role) => [started(role), role === missing ? [1, absent] : [1, 1]] as const),
    ) as AlarmCase['series'],
    labels: { missing },
    summary: `no process with the role ${missing} answers Prometheus`,
  })),
  {
    alert: 'InstanceDown',
    series: { 'up{job="order-saga",instance="worker:9464"}': [1, 0], 'up{job="another",instance="x"}': [0, 0] },
    labels: { job: 'order-saga', instance: 'worker:9464' },
    summary: 'worker:9464 does not answer Prometheus: it is dead, frozen or unreachable',
  },
  {
    alert: 'RelayLeasesLapsed',
    series: { 'order_saga_relay_partitions_unserved{role="worker"}': [0, 1] },
    summary: "no relay delivers 1 shares of the orders' events; a destination has 16 of them",
  },
  {
    alert: 'GatewayFails',
    series: {
      [gateway('charged')]: [perMinute(91), perMinute(80)],
      [gateway('no-answer')]: [perMinute(10), perMinute(20)],
    },
    summary: '20% of the calls to the payment gateway come to nothing',
  },
  {
    alert: 'PoolExhausted',
    series: { 'order_saga_pool_connections{state="waiting",pool="requests",instance="api:9464",role="api"}': [0, 3] },
    labels: { state: 'waiting', pool: 'requests', instance: 'api:9464', role: 'api' },
    summary: 'in api:9464 statements wait for a connection of the pool requests',
  },
  {
    alert: 'EventLoopLate',
    series: { 'nodejs_eventloop_lag_p99_seconds{instance="api:9464",role="api"}': [0.5, 0.6] },
    labels: { instance: 'api:9464', role: 'api' },
    summary: 'the event loop of api:9464 is late by 600ms',
  },
  {
    alert: 'DiskNearlyFull',
    series: { [disk('avail')]: [10, 9], [disk('size')]: [100, 100] },
    labels: { instance: 'db', mountpoint: '/data', fstype: 'ext4' },
    summary: 'of /data at db 9% are free',
  },
  {
    alert: 'ErrorBudgetBurnsFast',
    what: 'of availability, within an hour',
    series: {
      [posts('count{code="503"}')]: [perMinute(5), perMinute(20)],
      [posts('count{code="201"}')]: [perMinute(995), perMinute(980)],
    },
    minutes: [60, 90, 60],
    labels: { slo: 'post-availability' },
    summary: "post-availability: 2% break the promise; a month's budget is gone within days",
  },
  {
    alert: 'ErrorBudgetBurnsFast',
    what: 'not for four of the orders of a night',
    series: {
      [posts('count{code="503"}')]: [perMinute(0.01), perMinute(1), perMinute(0)],
      [posts('count{code="201"}')]: [perMinute(0.09), perMinute(4)],
    },
    minutes: [390, 90, 60],
    labels: { slo: 'post-availability' },
    summary: "post-availability: 20% break the promise; a month's budget is gone within days",
  },
  {
    alert: 'ErrorBudgetBurnsFast',
    what: 'of availability, within six hours',
    series: {
      [posts('count{code="503"}')]: [perMinute(5), perMinute(8)],
      [posts('count{code="201"}')]: [perMinute(995), perMinute(992)],
    },
    minutes: [60, 400, 60],
    labels: { slo: 'post-availability' },
    summary: "post-availability: 0.8% break the promise; a month's budget is gone within days",
  },
  {
    alert: 'ErrorBudgetBurnsFast',
    what: 'of latency',
    series: {
      [posts('bucket{code="201",le="0.2"}')]: [perMinute(71), perMinute(20)],
      [posts('count{code="201"}')]: [perMinute(100), perMinute(100)],
    },
    minutes: [60, 90, 90],
    labels: { slo: 'post-latency' },
    summary: "post-latency: 80% break the promise; a month's budget is gone within days",
  },
  {
    alert: 'ErrorBudgetBurnsFast',
    what: 'of orders that are final in time',
    series: { [due('late')]: [perMinute(5), perMinute(20)], [due('in_time')]: [perMinute(995), perMinute(980)] },
    minutes: [60, 90, 60],
    labels: { slo: 'final-in-time' },
    summary: "final-in-time: 2% break the promise; a month's budget is gone within days",
  },
  {
    alert: 'ErrorBudgetBurnsSlowly',
    series: {
      [due('late')]: [perMinute(0.9), perMinute(3), perMinute(0)],
      [due('in_time')]: [perMinute(999.1), perMinute(997), perMinute(1_000)],
    },
    minutes: [60, 120, 480],
    labels: { slo: 'final-in-time' },
  },
];
