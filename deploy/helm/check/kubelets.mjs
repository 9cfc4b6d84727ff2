/**
 * In the place of kubelets: of each pod that the scheduler has given to a node it says that it runs and, a second later, that it is ready; a job's pod ends
 * well; one that is to go is gone. No image is fetched and nothing runs.
 */
const LOOK_EVERY_MS = 200;
const READY_AFTER_MS = 1_000;

/** @param ask of the API server. @returns stop() */
export function playKubelets({ ask, namespace }) {
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      const { body } = await ask('GET', `/api/v1/namespaces/${namespace}/pods`).catch(() => ({ body: {} }));
      for (const pod of (body.items ?? []).filter(({ spec }) => spec.nodeName)) await serve(ask, pod).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await looking;
    },
  };
}

async function serve(ask, pod) {
  const { name, namespace, deletionTimestamp, ownerReferences = [] } = pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const { phase, startTime } = pod.status;
  if (deletionTimestamp) return ask('DELETE', `${path}?gracePeriodSeconds=0`);
  if (phase === 'Succeeded') return;
  if (phase === 'Pending') return ask('PATCH', `${path}/status`, { status: statusOf(pod, 'Running', false) });
  const isReady = pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  if (isReady || Date.now() - Date.parse(startTime) < READY_AFTER_MS) return;
  const isOfJob = ownerReferences.some(({ kind }) => kind === 'Job');
  return ask('PATCH', `${path}/status`, { status: statusOf(pod, isOfJob ? 'Succeeded' : 'Running', !isOfJob) });
}

let addresses = 0;

function statusOf({ spec, status }, phase, ready) {
  const now = new Date().toISOString().replace(/\.\d+/, '');
  const podIP = status.podIP ?? `10.244.${(addresses >> 8) & 255}.${addresses++ & 255}`;
  const state =
    phase === 'Succeeded'
      ? { terminated: { exitCode: 0, reason: 'Completed', finishedAt: now } }
      : { running: { startedAt: now } };
  const condition = (type, is) => ({ type, status: is ? 'True' : 'False', lastTransitionTime: now });
  return {
    phase,
    podIP,
    podIPs: [{ ip: podIP }],
    startTime: status.startTime ?? now,
    conditions: [
      condition('PodScheduled', true),
      condition('Initialized', true),
      condition('ContainersReady', ready),
      condition('Ready', ready),
    ],
    containerStatuses: spec.containers.map(({ name, image }) => ({
      name,
      image,
      imageID: image,
      ready,
      started: phase === 'Running',
      restartCount: 0,
      state,
    })),
  };
}
