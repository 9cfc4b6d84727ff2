/** The chart installed for real, on nodes that are kwok's: rollouts, evictions, builds, and autoscalers that follow a load. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { followLoad } from './load.mjs';
import { run, until } from './programs.mjs';

const ZONES = ['a', 'b', 'c'];
/** Two builds, of which one drains. */
const VALUES = {
  auth: { issuer: 'https://id.example', audience: 'order-saga' },
  temporal: { address: 'temporal-frontend.temporal:7233' },
  allowPlaintext: ['temporal'],
  image: { tag: 'one' },
  migrateImage: { tag: 'one' },
  worker: { builds: [{ id: 'v2' }, { id: 'v1', draining: true }] },
};
/** Each role scaled, with shorter waits on the way down than anybody would set. */
const AUTOSCALED = {
  api: { autoscaling: { enabled: true, maxReplicas: 6 } },
  worker: {
    autoscaling: {
      enabled: true,
      maxReplicas: 8,
      backlogMetric: 'approximate_backlog_count',
      scaleDownWindowSeconds: 20,
    },
  },
  relay: { autoscaling: { enabled: true, maxReplicas: 6, scaleDownWindowSeconds: 20 } },
};

export async function checkLife(context) {
  const { report, cluster, chart, folder, programs } = context;
  const { ask, namespace } = cluster;
  report.section('Installed for real: rollouts, evictions, builds (nodes and pods are kwok’s)');
  await prepare(context);
  let turn = 0;
  const helm = (command, values) => {
    const path = join(folder, `life-${++turn}.yaml`);
    writeFileSync(path, JSON.stringify(values));
    const args = ['--kubeconfig', cluster.kubeconfig, '-n', namespace, '-f', path, '--wait', '--timeout', '4m'];
    return run(programs.helm.path, [command, 'shop', chart, ...args]);
  };
  const deployments = async () => (await ask('GET', `/apis/apps/v1/namespaces/${namespace}/deployments`)).body.items;
  const state = async () =>
    (await deployments())
      .map(({ metadata, status }) => `${metadata.name.replace('shop-order-saga-', '')} ${status.readyReplicas ?? 0}`)
      .join(', ');

  const installed = helm('install', VALUES);
  const nodes = new Set((await pods()).map(({ spec }) => spec.nodeName));
  report.check(
    'helm install --wait, with the migration before it',
    installed.ok,
    installed.ok ? `ready: ${await state()}; on ${nodes.size} nodes` : installed.err,
  );

  const few = watchFewest(deployments);
  const upgraded = helm('upgrade', { ...VALUES, image: { tag: 'two' } });
  const fewest = await few.stop();
  report.check(
    'an upgrade replaces every pod',
    upgraded.ok && (await pods()).every(({ spec }) => /:two$/.test(spec.containers[0].image)),
    upgraded.err,
  );
  report.check(
    'meanwhile no role had fewer ready pods than it is to have',
    Object.values(fewest).every(({ ready, wanted }) => ready >= wanted),
    Object.entries(fewest)
      .map(([name, { ready, wanted }]) => `${name} ${ready} of ${wanted}`)
      .join(', '),
  );

  const evict = (name) =>
    ask('POST', `/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name, namespace },
    });
  for (const role of ['api', 'worker', 'relay']) {
    const [first, second] = (await pods())
      .filter(
        ({ metadata }) =>
          metadata.labels['app.kubernetes.io/component'] === role && metadata.labels['order-saga/build'] !== 'v1',
      )
      .map(({ metadata }) => metadata.name);
    const answers = [await evict(first), await evict(second)];
    report.check(
      `of two ${role} pods a second eviction is refused while the first is on its way`,
      answers[0].status === 201 && answers[1].status === 429,
      answers[1].body.message,
    );
  }
  const [draining] = (await pods()).filter(({ metadata }) => metadata.labels['order-saga/build'] === 'v1');
  report.check('the only pod of a draining build may be moved', (await evict(draining.metadata.name)).status === 201);

  const lost = helm('upgrade', { ...VALUES, worker: { builds: [{ id: 'v2' }] } });
  report.check(
    'an upgrade that forgets a build whose workers run is refused',
    !lost.ok && /"v1"/.test(lost.err),
    lost.err.replace(/^.*worker\.builds/s, 'worker.builds'),
  );
  const drained = helm('upgrade', { ...VALUES, worker: { builds: [{ id: 'v2' }], drained: ['v1'] } });
  report.check(
    'one that says it has drained removes its Deployment',
    drained.ok && !(await state()).includes('worker-v1'),
    drained.ok ? await state() : drained.err,
  );

  report.section('Autoscaling: 10 → 100 → 10 orders/s, by metrics that a model of the load gives');
  const scaled = helm('upgrade', {
    ...VALUES,
    ...AUTOSCALED,
    worker: { ...AUTOSCALED.worker, builds: [{ id: 'v2' }], drained: ['v1'] },
  });
  if (report.check('the autoscalers are taken', scaled.ok, scaled.err)) await followLoad(context);

  async function pods() {
    const { body } = await ask(
      'GET',
      `/api/v1/namespaces/${namespace}/pods?labelSelector=app.kubernetes.io/component%20in%20(api,worker,relay)`,
    );
    return body.items.filter(({ metadata }) => !metadata.deletionTimestamp);
  }
}

/** Nodes in zones, and what the chart takes for granted: Secrets, and a volume that several nodes may have. */
function prepare({ cluster, folder, report }) {
  const { kubectl, kubeconfig, namespace, begin } = cluster;
  begin('kwok', [`--kubeconfig=${kubeconfig}`, '--manage-all-nodes=true']);
  const resources = { cpu: '16', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi' };
  const nodes = ZONES.map((zone) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: `node-${zone}`,
      labels: { 'kubernetes.io/hostname': `node-${zone}`, 'topology.kubernetes.io/zone': zone },
    },
    status: { capacity: resources, allocatable: resources },
  }));
  const secret = (name, ...keys) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    stringData: Object.fromEntries(keys.map((key) => [key, 'x'])),
  });
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'audit' },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteMany'],
      storageClassName: '',
      nfs: { server: 'files.example', path: '/audit' },
    },
  };
  const items = [
    ...nodes,
    secret('order-saga', 'DATABASE_URL', 'AUDIT_KEY', 'STRIPE_API_KEY'),
    secret('order-saga-owner', 'DATABASE_URL'),
    volume,
  ];
  const path = join(folder, 'before.json');
  writeFileSync(path, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  // The accounts that the dry runs needed are not of a release.
  kubectl('delete', 'serviceaccount', '--all');
  const { ok, err } = kubectl('apply', '--server-side', '-f', path);
  if (!ok) report.check('nodes, Secrets and a volume', false, err);
  return until(
    'the nodes are ready',
    () => kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=2s').ok,
  );
}

/** @returns stop() → name → {ready, wanted}: the fewest that were ready while it looked */
function watchFewest(deployments) {
  const fewest = {};
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      for (const { metadata, spec, status } of await deployments()) {
        const name = metadata.name.replace('shop-order-saga-', '');
        const ready = status.readyReplicas ?? 0;
        if (!fewest[name] || ready < fewest[name].ready) fewest[name] = { ready, wanted: spec.replicas };
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await looking;
      return fewest;
    },
  };
}
