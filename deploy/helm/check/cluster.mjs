/**
 * A Kubernetes without machines: a real API server on etcd, and (where they are here) the real controllers and scheduler.
 * Nobody runs a pod: kubelets.mjs says of each that it does, and no image is ever needed.
 */
import { generateKeyPairSync } from 'node:crypto';
import { request } from 'node:https';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { run, start, until } from './programs.mjs';

const TOKEN = 'check';
const NAMESPACE = 'shop';

/** @returns kubectl(…args), ask(method, path, body) of the API itself, kubeconfig, certificates (a folder), hasNodes, namespace, stop() */
export async function startCluster(programs, folder) {
  mkdirSync(folder, { recursive: true });
  const log = openSync(join(folder, 'cluster.log'), 'a');
  const [etcdPort, peerPort, apiPort, managerPort, schedulerPort] = await freePorts(5);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = join(folder, 'service-accounts.pem');
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const tokens = join(folder, 'tokens.csv');
  writeFileSync(tokens, `${TOKEN},admin,admin,"system:masters"\n`, { mode: 0o600 });
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, kubeconfigOf(`https://127.0.0.1:${apiPort}`), { mode: 0o600 });
  const servers = [];
  const begin = (name, args, options) => servers.push(start(programs[name].path, args, { log, ...options }));
  const url = (port) => `http://127.0.0.1:${port}`;
  const stop = async () => {
    for (const server of servers.reverse()) await server.stop();
  };

  begin('etcd', [
    ...['--data-dir', join(folder, 'etcd'), '--unsafe-no-fsync', '--listen-client-urls', url(etcdPort)],
    ...['--advertise-client-urls', url(etcdPort), '--listen-peer-urls', url(peerPort)],
    ...['--initial-advertise-peer-urls', url(peerPort), '--initial-cluster', `default=${url(peerPort)}`],
  ]);
  begin('kube-apiserver', [
    ...[`--etcd-servers=${url(etcdPort)}`, `--secure-port=${apiPort}`, '--bind-address=127.0.0.1'],
    ...[`--cert-dir=${join(folder, 'certificates')}`, `--token-auth-file=${tokens}`, '--authorization-mode=RBAC'],
    ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
    ...['--service-account-issuer=https://kubernetes.default.svc', '--service-cluster-ip-range=10.96.0.0/16'],
    ...['--endpoint-reconciler-type=none', '--enable-aggregator-routing=false'],
  ]);
  /** The last argument may be options of the call, such as its input. */
  const kubectl = (...args) => {
    const options = typeof args.at(-1) === 'object' ? args.pop() : {};
    return run(programs.kubectl.path, ['--kubeconfig', kubeconfig, ...args], options);
  };
  try {
    await until('the API server is ready', () => kubectl('get', '--raw', '/readyz').ok, { limitMs: 180_000 });
    const hasNodes = ['kube-controller-manager', 'kube-scheduler'].every((name) => programs[name]);
    if (hasNodes) {
      begin('kube-controller-manager', [
        ...[
          `--kubeconfig=${kubeconfig}`,
          `--service-account-private-key-file=${key}`,
          '--use-service-account-credentials=false',
        ],
        ...[`--secure-port=${managerPort}`, '--bind-address=127.0.0.1', '--leader-elect=false'],
        ...[`--authentication-kubeconfig=${kubeconfig}`, `--authorization-kubeconfig=${kubeconfig}`],
        ...[
          '--horizontal-pod-autoscaler-sync-period=2s',
          '--controllers=*,-node-lifecycle-controller,-taint-eviction-controller',
        ],
      ]);
      begin('kube-scheduler', [
        ...[
          `--kubeconfig=${kubeconfig}`,
          `--secure-port=${schedulerPort}`,
          '--bind-address=127.0.0.1',
          '--leader-elect=false',
        ],
        ...[`--authentication-kubeconfig=${kubeconfig}`, `--authorization-kubeconfig=${kubeconfig}`],
      ]);
    }
    const ask = asker(apiPort);
    return {
      kubectl,
      ask,
      kubeconfig,
      certificates: join(folder, 'certificates'),
      hasNodes,
      namespace: NAMESPACE,
      begin,
      stop,
    };
  } catch (err) {
    await stop();
    throw err;
  }
}

/** @returns {status, body} of the API server's answer */
const asker = (port) => (method, path, body) =>
  new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      'content-type': method === 'PATCH' ? 'application/strategic-merge-patch+json' : 'application/json',
    };
    const asked = request({ host: '127.0.0.1', port, path, method, headers, rejectUnauthorized: false }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += part));
      answer.on('end', () => resolve({ status: answer.statusCode, body: parsed(text) }));
    });
    asked.once('error', reject);
    asked.end(body && JSON.stringify(body));
  });

/** What stands between us and a server that is away answers in plain words. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text };
  }
}

const kubeconfigOf = (server) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'check', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'admin', user: { token: TOKEN } }],
    contexts: [{ name: 'check', context: { cluster: 'check', user: 'admin', namespace: NAMESPACE } }],
    'current-context': 'check',
  });

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port))),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
