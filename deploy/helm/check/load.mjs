/**
 * Autoscalers that follow a load. The load, and what each pod measures of it, is a model: an API for metrics of its own in the place of Prometheus' adapter
 * and the metrics server. The autoscalers, and what they decide by, are the real ones.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { until } from './programs.mjs';

/** What a pod does in a second, of the model; from what an order costs (docs/scale.md), rounded. */
const CAPACITY = { api: 60, worker: 25, relayEvents: 100 };
const EVENTS_PER_ORDER = 4;
const PHASES = [
  { rate: 10, forS: 30 },
  { rate: 100, forS: 150 },
  { rate: 10, forS: 30 },
];
const DOWN_LIMIT_MS = 600_000;

export async function followLoad({ cluster, report }) {
  const model = createModel(cluster);
  const server = await serve(model, cluster.certificates);
  try {
    register(cluster, server.address().port);
    await until(
      'the metrics are served',
      async () => (await cluster.ask('GET', '/apis/external.metrics.k8s.io/v1beta1')).status === 200,
    );
    const scalers = async () =>
      (await cluster.ask('GET', `/apis/autoscaling/v2/namespaces/${cluster.namespace}/horizontalpodautoscalers`)).body
        .items ?? [];
    await until('each autoscaler has found its target and its metrics', async () => areActive(await scalers()), {
      limitMs: 120_000,
    }).then(
      () => report.check('each autoscaler finds its target and its metrics (ScalingActive)', true),
      async () =>
        report.check(
          'each autoscaler finds its target and its metrics (ScalingActive)',
          false,
          (await scalers()).map(conditions).join('; '),
        ),
    );
    for (const { rate, forS } of PHASES) {
      const most = {};
      model.rate = rate;
      const endAt = Date.now() + forS * 1_000;
      while (Date.now() < endAt) {
        for (const { metadata, status } of await scalers()) {
          const name = metadata.name.replace('shop-order-saga-', '');
          most[name] = Math.max(most[name] ?? 0, status.desiredReplicas ?? 0);
        }
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
      const seen = Object.entries(most)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ');
      report.check(
        `${rate} orders/s for ${forS} s: the most that were wanted`,
        rate === 10 || Object.values(most).every((count) => count > 2),
        seen,
      );
    }
    const back = await until(
      'all are back at their least',
      async () => (await scalers()).every(({ spec, status }) => status.currentReplicas === spec.minReplicas),
      { limitMs: DOWN_LIMIT_MS, everyMs: 2_000 },
    ).then(
      () => true,
      () => false,
    );
    report.check(
      'afterwards each role is back at its least',
      back,
      (await scalers())
        .map(({ metadata, status }) => `${metadata.name.replace('shop-order-saga-', '')} ${status.currentReplicas}`)
        .join(', '),
    );
    await tellReasons(cluster, report);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** Which metric decided: the autoscaler's own events. */
async function tellReasons({ ask, namespace }, report) {
  const { body } = await ask('GET', `/api/v1/namespaces/${namespace}/events?fieldSelector=reason=SuccessfulRescale`);
  const said = new Map();
  for (const { involvedObject, message } of body.items ?? []) {
    const name = involvedObject.name.replace('shop-order-saga-', '');
    said.set(name, [
      ...(said.get(name) ?? []),
      message.replace(/New size: (\d+); reason: /, '$1 by ').replace(/\(&.*?\)/, ''),
    ]);
  }
  for (const [name, messages] of said)
    report.check(
      `what decided: ${name}`,
      messages.some((one) => /above target/.test(one)),
      [...new Set(messages)].join('; '),
    );
}

const isActive = ({ status }) =>
  (status?.conditions ?? []).some(({ type, status: is }) => type === 'ScalingActive' && is === 'True');
const areActive = (scalers) => scalers.length === 3 && scalers.every(isActive);
const conditions = ({ metadata, status }) =>
  `${metadata.name}: ${(status?.conditions ?? []).map(({ type, status: is, message }) => `${type} ${is} ${message}`).join(', ')}`;

/** Queues that fill while the pods that are ready do less than comes in. */
function createModel({ ask, namespace }) {
  const model = { rate: PHASES[0].rate, tasksWaiting: 0, eventsWaiting: 0, pods: { api: [], worker: [], relay: [] } };
  let lookedAt = Date.now();
  model.look = async () => {
    const { body } = await ask('GET', `/api/v1/namespaces/${namespace}/pods`);
    const ready = (body.items ?? []).filter(
      ({ metadata, status }) =>
        !metadata.deletionTimestamp &&
        status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    );
    for (const role of Object.keys(model.pods))
      model.pods[role] = ready
        .filter(({ metadata }) => metadata.labels['app.kubernetes.io/component'] === role)
        .map(({ metadata }) => metadata);
    const seconds = (Date.now() - lookedAt) / 1_000;
    lookedAt = Date.now();
    const left = (waiting, come, perPod, pods) => Math.max(0, waiting + (come - perPod * pods.length) * seconds);
    model.tasksWaiting = left(model.tasksWaiting, model.rate, CAPACITY.worker, model.pods.worker);
    model.eventsWaiting = left(
      model.eventsWaiting,
      model.rate * EVENTS_PER_ORDER,
      CAPACITY.relayEvents,
      model.pods.relay,
    );
  };
  const share = (capacity, pods, waiting) =>
    waiting > 0 ? 1 : Math.min(1, model.rate / (capacity * Math.max(1, pods.length)));
  model.slots = () => share(CAPACITY.worker, model.pods.worker, model.tasksWaiting);
  model.cpu = () => share(CAPACITY.api, model.pods.api, 0);
  return model;
}

const milli = (value) => `${Math.round(value * 1_000)}m`;

async function serve(model, certificates) {
  const tls = {
    cert: readFileSync(join(certificates, 'apiserver.crt')),
    key: readFileSync(join(certificates, 'apiserver.key')),
  };
  const server = createServer(tls, (request, answer) => void answerTo(request, answer).catch(() => answer.destroy()));
  const answerTo = async (request, answer) => {
    const path = decodeURIComponent(request.url.split('?')[0]);
    const metric = path.split('/').at(-1);
    const now = new Date().toISOString();
    if (path.includes('/namespaces/')) await model.look();
    const body = () => {
      if (/\/namespaces\/.*\/pods\/\*\//.test(path))
        return list(
          'custom.metrics.k8s.io/v1beta2',
          'MetricValueList',
          model.pods.worker.map(({ name, namespace }) => ({
            describedObject: { kind: 'Pod', namespace, name, apiVersion: '/v1' },
            metric: { name: metric },
            timestamp: now,
            value: milli(model.slots()),
          })),
        );
      if (path.startsWith('/apis/external.metrics.k8s.io/v1beta1/namespaces/')) {
        const waiting = metric === 'order_saga_outbox_backlog_events' ? model.eventsWaiting : model.tasksWaiting;
        return list('external.metrics.k8s.io/v1beta1', 'ExternalMetricValueList', [
          { metricName: metric, metricLabels: {}, timestamp: now, value: milli(waiting) },
        ]);
      }
      if (path.startsWith('/apis/metrics.k8s.io/v1beta1/namespaces/'))
        return list(
          'metrics.k8s.io/v1beta1',
          'PodMetricsList',
          model.pods.api.map(({ name, namespace, labels }) => ({
            metadata: { name, namespace, labels },
            timestamp: now,
            window: '10s',
            containers: [{ name: 'api', usage: { cpu: milli(model.cpu()), memory: '200Mi' } }],
          })),
        );
      return {
        kind: 'APIResourceList',
        apiVersion: 'v1',
        groupVersion: path.replace(/^\/apis\//, ''),
        resources: RESOURCES[path.split('/')[2]] ?? [],
      };
    };
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify(body()));
  };
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const list = (apiVersion, kind, items) => ({ kind, apiVersion, metadata: {}, items });
const resource = (name, kind) => ({ name, singularName: '', namespaced: true, kind, verbs: ['get', 'list'] });
const RESOURCES = {
  'custom.metrics.k8s.io': [resource('pods/order_saga_worker_slot_utilization', 'MetricValueList')],
  'external.metrics.k8s.io': ['order_saga_outbox_backlog_events', 'approximate_backlog_count'].map((name) =>
    resource(name, 'ExternalMetricValueList'),
  ),
  'metrics.k8s.io': [resource('pods', 'PodMetrics')],
};

/** The API server hands these groups on to us: a Service of the kind that is only a name stands for this process. */
function register({ kubectl }, port) {
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'load', namespace: 'kube-system' },
    spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
  };
  const groups = ['custom.metrics.k8s.io/v1beta2', 'external.metrics.k8s.io/v1beta1', 'metrics.k8s.io/v1beta1'].map(
    (name) => {
      const [group, version] = name.split('/');
      const spec = {
        group,
        version,
        insecureSkipTLSVerify: true,
        groupPriorityMinimum: 100,
        versionPriority: 100,
        service: { name: 'load', namespace: 'kube-system', port },
      };
      return {
        apiVersion: 'apiregistration.k8s.io/v1',
        kind: 'APIService',
        metadata: { name: `${version}.${group}` },
        spec,
      };
    },
  );
  const items = { apiVersion: 'v1', kind: 'List', items: [service, ...groups] };
  kubectl('create', 'namespace', 'kube-system');
  const { ok, err } = kubectl('apply', '--server-side', '-f', '-', { input: JSON.stringify(items) });
  if (!ok) throw new Error(err);
}
