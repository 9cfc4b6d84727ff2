/** The chart installed for real, on nodes that are none: rollouts, evictions, builds, and autoscalers that follow a load. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { playKubelets } from './kubelets.mjs';
import { followLoad } from './load.mjs';
import { runBeside, until } from './programs.mjs';

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
      maxReplicas: 5,
      backlogMetric: 'approximate_backlog_count',
      scaleDownWindowSeconds: 20,
    },
  },
  relay: { autoscaling: { enabled: true, maxReplicas: 6, scaleDownWindowSeconds: 20 } },
};

export async function checkLife(context) {
  const { report, cluster } = context;
  report.section('Installed for real: rollouts, evictions, builds (no pod really runs)');
  await prepare(context);
  const kubelets = playKubelets(cluster);
  try {
    await live(context);
  } finally {
    await kubelets.stop();
  }
}

async function live(context) {
  const { report, cluster, chart, folder, programs } = context;
  const { ask, namespace } = cluster;
  let turn = 0;
  const helm = async (command, values) => {
    const path = join(folder, `life-${++turn}.yaml`);
    writeFileSync(path, JSON.stringify(values));
    const args = ['--kubeconfig', cluster.kubeconfig, '-n', namespace, '-f', path, '--wait', '--timeout', '4m'];
    const done = await runBeside(programs.helm.path, [command, 'shop', chart, ...args]);
    // Helm waits for the new pods, not for the old ones to be gone.
    if (done.ok) await until('nothing is being replaced', async () => (await deployments()).every(isSettled));
    return done;
  };
  const deployments = async () => (await ask('GET', `/apis/apps/v1/namespaces/${namespace}/deployments`)).body.items;
  const state = async () =>
    (await deployments())
      .map(({ metadata, status }) => `${metadata.name.replace('shop-order-saga-', '')} ${status.readyReplicas ?? 0}`)
      .join(', ');

  const installed = await helm('install', VALUES);
  const nodes = new Set((await pods()).map(({ spec }) => spec.nodeName));
  report.check(
    'helm install --wait, with the migration before it',
    installed.ok,
    installed.ok ? `ready: ${await state()}; on ${nodes.size} nodes` : installed.err,
  );

  const few = watchFewest(deployments);
  const upgraded = await helm('upgrade', { ...VALUES, image: { tag: 'two' } });
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

  const lost = await helm('upgrade', { ...VALUES, worker: { builds: [{ id: 'v2' }] } });
  report.check(
    'an upgrade that forgets a build whose workers run is refused',
    !lost.ok && /"v1"/.test(lost.err),
    lost.err.replace(/^.*worker\.builds/s, 'worker.builds'),
  );
  const drained = await helm('upgrade', { ...VALUES, worker: { builds: [{ id: 'v2' }], drained: ['v1'] } });
  report.check(
    'one that says it has drained removes its Deployment',
    drained.ok && !(await state()).includes('worker-v1'),
    drained.ok ? await state() : drained.err,
  );

  report.section('Autoscaling: 10 → 100 → 10 orders/s, by metrics that a model of the load gives');
  const fewScaled = watchFewest(deployments);
  const scaled = await helm('upgrade', {
    ...VALUES,
    ...AUTOSCALED,
    worker: { ...AUTOSCALED.worker, builds: [{ id: 'v2' }], drained: ['v1'] },
  });
  const fewestScaled = Object.entries(await fewScaled.stop()).map(([name, { ready }]) => `${name} ${ready}`);
  report.check(
    'that autoscalers take over takes no pod away',
    scaled.ok && fewestScaled.every((one) => !/ [01]$/.test(one)),
    scaled.ok ? fewestScaled.join(', ') : scaled.err,
  );
  if (scaled.ok) await followLoad(context);

  async function pods() {
    const { body } = await ask(
      'GET',
      `/api/v1/namespaces/${namespace}/pods?labelSelector=app.kubernetes.io/component%20in%20(api,worker,relay)`,
    );
    return body.items.filter(({ metadata }) => !metadata.deletionTimestamp);
  }
}

const isSettled = ({ metadata, spec, status }) =>
  status.observedGeneration === metadata.generation &&
  ['replicas', 'updatedReplicas', 'availableReplicas'].every((count) => (status[count] ?? 0) === spec.replicas);

/** Nodes in zones, and what the chart takes for granted: Secrets, and a volume that several nodes may have. */
async function prepare({ cluster, folder, report }) {
  const { kubectl, ask, namespace } = cluster;
  const resources = { cpu: '16', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi' };
  const nodes = ZONES.map((zone) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: `node-${zone}`,
      labels: { 'kubernetes.io/hostname': `node-${zone}`, 'topology.kubernetes.io/zone': zone },
    },
    status: { capacity: resources, allocatable: resources, conditions: [{ type: 'Ready', status: 'True' }] },
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
    secret('order-saga', 'DATABASE_URL', 'AUDIT_KEY', 'STRIPE_API_KEY'),
    secret('order-saga-owner', 'DATABASE_URL'),
    volume,
  ];
  const path = join(folder, 'before.json');
  writeFileSync(path, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  // The accounts that the dry runs needed are not of a release.
  kubectl('delete', 'serviceaccount', '--all');
  const { ok, err } = kubectl('apply', '--server-side', '-f', path);
  for (const node of nodes) {
    await ask('POST', '/api/v1/nodes', node);
    // A new node takes nothing until the controller that watches kubelets has heard of it; there is none.
    await ask('PATCH', `/api/v1/nodes/${node.metadata.name}`, { spec: { taints: null } });
  }
  const { body } = await ask('GET', '/api/v1/nodes');
  const usable = body.items.filter(({ spec }) => !spec.taints).length;
  report.check('three nodes in three zones, Secrets and a volume', ok && usable === 3, err || `${usable} nodes`);
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
