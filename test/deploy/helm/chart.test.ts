/** The Helm chart, as far as its rendered objects show it. What an API server says of them: `npm run kube:test`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { fileSecretsOf, readConfig } from '../../../runtime/config.js';
import { settings } from '../../../runtime/settings.js';
import { temporalRefusals } from '../../../runtime/temporal-config.js';
import { read, variablesOf } from '../text.js';
import { withFilesIn } from './mounted.js';
import { againstRestricted, envOf, ofKind, selects, type Workload, workloads } from './pods.js';
import { CHART, describeWithHelm, type Rendered, renderAll, runHelm, type Sets, VALUE_SETS } from './rendering.js';

describeWithHelm('the Helm chart', (helm) => {
  let sets: Sets;
  const folder = mkdtempSync(join(tmpdir(), 'mounted-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(async () => {
    sets = await renderAll(helm);
  });
  const of = (set: string): Rendered[] => sets.get(set) ?? [];
  /** Of all sets, with the set's name. */
  const each = (): [string, Workload][] =>
    [...sets].flatMap(([set, objects]) => workloads(objects).map((one): [string, Workload] => [set, one]));
  const roles = (): [string, Workload][] => each().filter(([, { role }]) => ['api', 'worker', 'relay'].includes(role));
  const worker = (set: string): Workload => workloads(of(set)).find(({ role }) => role === 'worker') as Workload;

  it('is rendered for at least eight sets of values, with every role in each', () => {
    expect(VALUE_SETS.length).toBeGreaterThanOrEqual(8);
    for (const [set, objects] of sets)
      expect([set, new Set(workloads(objects).map(({ role }) => role))]).toEqual([
        set,
        new Set(['api', 'worker', 'relay', 'doctor', ...(set === 'small' ? [] : ['migrate'])]),
      ]);
  });

  it('has no pod that Pod Security `restricted` refuses, that writes beyond its volumes, or that has a token', () => {
    expect(each().flatMap(([set, one]) => againstRestricted(one).map((rule) => [set, one.name, rule]))).toEqual([]);
    for (const objects of sets.values()) {
      const accounts = ofKind(objects, 'ServiceAccount');
      expect(accounts.filter((account) => account.automountServiceAccountToken !== false)).toEqual([]);
      const names = accounts.map(({ metadata }) => metadata.name);
      expect(names).toEqual(expect.arrayContaining(workloads(objects).map(({ pod }) => pod.spec.serviceAccountName)));
    }
  });

  it('gives each role its own secrets only, as files, and none to an environment', () => {
    const given = (set: string) =>
      Object.fromEntries(
        workloads(of(set)).map(({ role, pod }) => {
          const { secret } = pod.spec.volumes.find(({ name }: { name: string }) => name === 'secrets');
          return [role, [secret.secretName, ...secret.items.map(({ key }: { key: string }) => key)]];
        }),
      );
    expect(given('minimal')).toEqual({
      api: ['order-saga', 'DATABASE_URL', 'AUDIT_KEY'],
      worker: ['order-saga', 'DATABASE_URL', 'AUDIT_KEY', 'STRIPE_API_KEY'],
      relay: ['order-saga', 'DATABASE_URL', 'AUDIT_KEY'],
      doctor: ['order-saga', 'DATABASE_URL', 'AUDIT_KEY', 'STRIPE_API_KEY'],
      migrate: ['order-saga-owner', 'DATABASE_URL'],
    });
    expect(given('brokers')['relay']).toEqual(
      expect.arrayContaining(['WEBHOOK_SECRET', 'KAFKA_PASSWORD', 'NATS_URL', 'NATS_CREDENTIALS', 'RABBITMQ_URL']),
    );
    expect(given('brokers')['api']).toEqual(
      expect.not.arrayContaining(['WEBHOOK_SECRET', 'NATS_URL', 'STRIPE_API_KEY']),
    );
    expect(given('worker-controller')['worker']).not.toContain('TEMPORAL_API_KEY'); // the controller's own way
    for (const [set, one] of each()) {
      const { env, envFrom, volumeMounts } = one.container;
      expect([set, one.name, envFrom, env.filter((variable: Rendered) => variable.valueFrom)]).toEqual([
        set,
        one.name,
        undefined,
        [],
      ]);
      const secret = Object.keys(envOf(one)).filter((name) => SECRET.test(name));
      expect([set, one.name, secret]).toEqual([set, one.name, []]);
      const files = volumeMounts.filter(({ mountPath }: { mountPath: string }) => mountPath.startsWith('/etc/'));
      expect(files.every(({ readOnly }: { readOnly?: boolean }) => readOnly)).toBe(true);
    }
  });

  it('takes each secret that there is as a file of the Secret, and refuses it in `config`', async () => {
    const given = new Set(
      [...sets.values()].flatMap((objects) => workloads(objects).flatMap((one) => Object.keys(envOf(one)))),
    );
    const secrets = fileSecretsOf(settings);
    expect(secrets.length).toBeGreaterThan(12);
    expect(secrets.filter((name) => !given.has(`${name}_FILE`) && !MAY_BE_IN_CONFIG.has(name))).toEqual([]);
    const taken = await Promise.all(
      secrets.map(async (name) => {
        const values = ['-f', `${CHART}/ci/minimal.yaml`, '--set', `config.${name}=x`];
        return (await runHelm(helm, 'template', 'shop', CHART, ...values)).code === 0 ? [name] : [];
      }),
    );
    expect(new Set(taken.flat())).toEqual(MAY_BE_IN_CONFIG);
  });

  it('sets variables only that there are', () => {
    const known = [...variablesOf('.env.example').keys(), 'NODE_OPTIONS', 'HOME', 'PROMETHEUS_URL'];
    const asFiles =
      /From a file instead: (.*?) by its name/s.exec(read('.env.example'))?.[1]?.match(/[A-Z_]{8,}/g) ?? [];
    expect(asFiles.length).toBeGreaterThan(10);
    const unknown = each().flatMap(([, one]) =>
      Object.keys(envOf(one)).filter(
        (name) => !known.includes(name) && !asFiles.some((secret) => name === `${secret}_FILE`),
      ),
    );
    expect([...new Set(unknown)]).toEqual([]);
  });

  it('has each role started with settings that it takes, secrets and certificates from its files', () => {
    const refusals = roles().flatMap(([set, one]) => {
      const env = withFilesIn(folder, envOf(one));
      try {
        readConfig(settings, env, temporalRefusals);
        return [];
      } catch (err) {
        return [[set, one.name, (err as Error).message]];
      }
    });
    expect(refusals).toEqual([]);
  });

  it('asks each role on its metrics port: alive of nobody else, ready for its own work', () => {
    for (const [set, one] of roles()) {
      const { startupProbe, livenessProbe, readinessProbe, ports } = one.container;
      const asked = [startupProbe, livenessProbe, readinessProbe].map(
        ({ httpGet }) => `${httpGet.port}${httpGet.path}`,
      );
      expect([set, one.name, asked]).toEqual([set, one.name, ['metrics/livez', 'metrics/livez', 'metrics/readyz']]);
      const { METRICS_PORT, METRICS_HOST, ROLE } = envOf(one);
      expect({ METRICS_PORT, METRICS_HOST, ROLE }).toEqual({
        METRICS_PORT: '9464',
        METRICS_HOST: '0.0.0.0',
        ROLE: one.role,
      });
      expect(ports.find(({ name }: { name: string }) => name === 'metrics').containerPort).toBe(9464);
      // A start may wait for a database for as long as a migration's locks take.
      expect(startupProbe.periodSeconds * startupProbe.failureThreshold).toBeGreaterThanOrEqual(60);
    }
  });

  it('grants each role longer than its orderly stop takes, and the API a while to be taken out of its Service', () => {
    const stopLimitMs = Number(/STOP_LIMIT_MS = ([\d_]+)/.exec(read('runtime/shutdown.ts'))?.[1]?.replaceAll('_', ''));
    expect(stopLimitMs).toBe(15_000);
    for (const [, { pod, container, role }] of roles()) {
      const slept = container.lifecycle?.preStop.sleep.seconds ?? 0;
      expect((pod.spec.terminationGracePeriodSeconds - slept) * 1_000).toBeGreaterThanOrEqual(stopLimitMs + 5_000);
      expect([role, slept > 0]).toEqual([role, role === 'api']);
    }
  });

  it('replaces pods one by one, never with fewer than there are to be', () => {
    const strategies = roles()
      .filter(([, { kind }]) => kind === 'Deployment')
      .map(([set, { role, object }]) => [set, role, object.spec.strategy]);
    const surge = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
    expect(strategies.length).toBeGreaterThan(24);
    // The volume of its relay can be on one node only.
    for (const [set, role, strategy] of strategies)
      expect([set, role, strategy]).toEqual([
        set,
        role,
        set === 'small' && role === 'relay' ? { type: 'Recreate' } : surge,
      ]);
  });

  it('has one budget for each Deployment, and no pod with two', () => {
    for (const [set, objects] of [...sets].filter(([set]) => set !== 'small')) {
      const budgets = ofKind(objects, 'PodDisruptionBudget');
      for (const { name, kind, pod } of workloads(objects)) {
        const own = budgets.filter(({ spec }) => selects(spec.selector, pod.metadata.labels));
        expect([set, name, own.length]).toEqual([set, name, kind === 'Deployment' ? 1 : 0]);
      }
    }
  });

  it('has Deployments whose selectors take each pod once, spread over nodes and zones', () => {
    for (const [set, objects] of sets) {
      const deployments = ofKind(objects, 'Deployment');
      for (const { pod } of workloads(objects).filter(({ kind }) => kind === 'Deployment')) {
        expect(deployments.filter(({ spec }) => selects(spec.selector, pod.metadata.labels))).toHaveLength(1);
        const spread = pod.spec.topologySpreadConstraints ?? [];
        expect([set, spread.length]).toEqual([set, set === 'small' ? 0 : 2]);
        for (const { labelSelector } of spread) expect(selects(labelSelector, pod.metadata.labels)).toBe(true);
      }
    }
  });

  it('keeps JavaScript’s heap well within the limit of memory, as Compose does', () => {
    const composed = [...read('docker-compose.yml').matchAll(/max-old-space-size=(\d+)/g)].map(([, mib]) =>
      Number(mib),
    );
    const heapOf = (one: Workload) =>
      Number(/^--max-old-space-size=(\d+)$/.exec(envOf(one)['NODE_OPTIONS'] ?? '')?.[1]);
    const given = ['api', 'worker', 'relay'].map((name) => workloads(of('minimal')).find(({ role }) => role === name));
    expect(given.map((one) => heapOf(one as Workload))).toEqual(composed);
    for (const [set, one] of roles()) {
      const limit = one.container.resources.limits.memory;
      const limitMiB = Number.parseInt(limit, 10) * (limit.endsWith('Gi') ? 1024 : 1);
      const threads = one.role === 'worker' ? 2 : 1; // workflow code has one of its own
      expect([set, one.name, (threads * heapOf(one)) / limitMiB <= 0.7]).toEqual([set, one.name, true]);
    }
  });

  it('has one Deployment per build, of which an old one is neither scaled nor given new names', () => {
    const builds = ofKind(of('builds'), 'Deployment').filter(({ metadata }) => metadata.labels['order-saga/build']);
    const seen = builds.map((one) => {
      const [workload] = workloads([one]) as [Workload];
      const { TEMPORAL_WORKER_BUILD_ID: build, TEMPORAL_DEPLOYMENT_NAME: deployment } = envOf(workload);
      return {
        name: one.metadata.name,
        replicas: one.spec.replicas,
        build,
        deployment,
        image: workload.container.image,
      };
    });
    expect(seen).toEqual([
      {
        name: expect.stringMatching(/^shop-order-saga-worker-0-2-0-rc-1-[0-9a-f]{6}$/),
        replicas: 3,
        build: '0.2.0-rc.1',
        deployment: 'order-saga',
        image: 'order-saga:0.2.0-rc.1',
      },
      {
        name: expect.stringMatching(/^shop-order-saga-worker-0-1-0-[0-9a-f]{6}$/),
        replicas: 1,
        build: '0.1.0',
        deployment: 'order-saga',
        image: expect.stringMatching(/^order-saga@sha256:0+1$/),
      },
    ]);
    expect(envOf(worker('minimal'))).not.toHaveProperty('TEMPORAL_WORKER_BUILD_ID');
    expect(ofKind(of('autoscaled'), 'HorizontalPodAutoscaler').map(({ spec }) => spec.scaleTargetRef.name)).toEqual([
      'shop-order-saga-api',
      'shop-order-saga-worker-v2',
      'shop-order-saga-relay',
    ]);
  });

  it('scales what is there, by what is scarce, and leaves its replicas to the autoscaler', () => {
    const objects = of('autoscaled');
    const scalers = ofKind(objects, 'HorizontalPodAutoscaler');
    const metrics = scalers.map(({ spec }) =>
      spec.metrics.map((metric: Rendered) => metric.resource?.name ?? (metric.pods ?? metric.external).metric.name),
    );
    expect(metrics).toEqual([
      ['cpu'],
      ['order_saga_worker_slot_utilization', 'approximate_backlog_count'],
      ['order_saga_outbox_backlog_events'],
    ]);
    for (const { spec } of scalers) {
      const target = ofKind(objects, 'Deployment').find(({ metadata }) => metadata.name === spec.scaleTargetRef.name);
      expect(target.spec.replicas).toBeUndefined();
    }
    // What Prometheus' adapter is told to offer is what is asked for, made of series that there are.
    const recipe = read('deploy/helm/prometheus-adapter.yaml');
    const offered = [...recipe.matchAll(/as: (\w+)/g)].map(([, name]) => name);
    expect(offered).toEqual(expect.arrayContaining(metrics.flat().filter((name: string) => name !== 'cpu')));
    const series = [...recipe.matchAll(/((?:order_saga|temporal)_\w+)(?=\{)/g)].map(([, name]) => name);
    expect(series.length).toBeGreaterThan(3);
    expect(series.filter((name) => !read('docs/metrics.md').includes(`\`${name}\``))).toEqual([]);
  });

  it('lets nobody in or out but along the edges that are drawn', () => {
    for (const [set, objects] of sets) {
      const policies = ofKind(objects, 'NetworkPolicy').map(({ spec }) => spec);
      for (const { name, pod } of workloads(objects)) {
        const own = policies.filter(({ podSelector }) => selects(podSelector, pod.metadata.labels));
        expect([set, name, own.map(({ policyTypes }) => policyTypes)]).toEqual([
          set,
          name,
          Array(2).fill(['Ingress', 'Egress']),
        ]);
      }
      const open = policies
        .flatMap(({ ingress }) => ingress ?? [])
        .filter(({ from }) => from === undefined || from.length === 0);
      expect([set, open]).toEqual([set, []]);
    }
    const ports = (set: string, role: string) =>
      ofKind(of(set), 'NetworkPolicy')
        .find(({ metadata }) => metadata.name === `shop-order-saga-${role}`)
        .spec.egress.map(({ ports }: Rendered) => ports.map(({ port }: Rendered) => port));
    const dns = [53, 53];
    expect(ports('minimal', 'api')).toEqual([dns, [5432], [7233], [443]]);
    expect(ports('minimal', 'worker')).toEqual([dns, [5432], [7233], [443]]);
    expect(ports('minimal', 'relay')).toEqual([dns, [5432], [7233]]); // no destination, no way out
    expect(ports('minimal', 'migrate')).toEqual([dns, [5432]]);
    expect(ports('brokers', 'api')).toEqual([dns, [5432], [7233], [443], [6379], [4318], [8200, 443], [5432]]);
    expect(ports('brokers', 'worker')).toEqual([dns, [5432], [7233], [443], [4318], [8200, 443], [5432]]);
    expect(ports('brokers', 'doctor')).toContainEqual([5432]);
    expect(ports('brokers', 'migrate')).toEqual([dns, [5432]]);
    expect(ports('brokers', 'relay')).toEqual([
      dns,
      [5432],
      [7233],
      [443, 9092, 9093, 4222, 5671, 5672],
      [443],
      [4318],
      [8200, 443],
      [5432],
    ]);
  });

  it('keeps the anchor of the audit trail where only relays write, and beyond the release', () => {
    for (const [set, one] of each()) {
      const hasVolume = one.container.volumeMounts.some(
        ({ mountPath }: { mountPath: string }) => mountPath === '/data',
      );
      const isAnchored = one.role === 'relay' && set !== 'brokers';
      expect([set, one.name, hasVolume, envOf(one)['AUDIT_ANCHOR_FILE']]).toEqual([
        ...[set, one.name, isAnchored],
        isAnchored ? '/data/audit-anchor' : undefined,
      ]);
    }
    const [claim] = ofKind(of('minimal'), 'PersistentVolumeClaim');
    expect([claim.spec.accessModes, claim.metadata.annotations]).toEqual([
      ['ReadWriteMany'],
      { 'helm.sh/resource-policy': 'keep' },
    ]);
  });

  it('hands over certificates as files, under the names that our variables say', () => {
    expect(envOf(worker('mutual-tls'))).toMatchObject({
      TEMPORAL_TLS: 'true',
      TEMPORAL_TLS_CLIENT_CERT_PATH: '/etc/order-saga/temporal/tls.crt',
      TEMPORAL_TLS_CLIENT_KEY_PATH: '/etc/order-saga/temporal/tls.key',
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: '/etc/order-saga/temporal/ca.crt',
      NODE_EXTRA_CA_CERTS: '/etc/order-saga/extra-ca/company.pem',
    });
    for (const [set, one] of each()) {
      const inFiles = one.container.volumeMounts.flatMap(({ name, mountPath }: { name: string; mountPath: string }) => {
        const volume = one.pod.spec.volumes.find((candidate: Rendered) => candidate.name === name);
        return ((volume.secret ?? volume.configMap)?.items ?? []).map(
          ({ path }: { path: string }) => `${mountPath}/${path}`,
        );
      });
      const named = Object.values(envOf(one)).filter((value) => value.startsWith('/etc/order-saga/'));
      expect([set, one.name, named.filter((path) => !inFiles.includes(path))]).toEqual([set, one.name, []]);
    }
  });

  it('migrates before anything else of a release, as the owner of the tables, and tests with `ops doctor`', () => {
    const hooks = of('minimal').filter(({ metadata }) => metadata.annotations?.['helm.sh/hook']);
    const order = (kind: string) =>
      Number(
        hooks.find((one) => one.kind === kind && /migrate$/.test(one.metadata.name)).metadata.annotations[
          'helm.sh/hook-weight'
        ],
      );
    expect([order('ServiceAccount') < order('Job'), order('NetworkPolicy') < order('Job')]).toEqual([true, true]);
    const [job] = workloads(ofKind(of('minimal'), 'Job')) as [Workload];
    expect([job.container.image, job.container.command.join(' ')]).toEqual([
      'order-saga-migrate:0.1.0',
      'node prisma/cli.mjs migrate deploy',
    ]);
    const [doctor] = workloads(ofKind(of('minimal'), 'Pod')) as [Workload];
    expect(doctor.container.command.slice(2)).toEqual(['doctor', '--api', 'http://shop-order-saga-api:3000']);
  });

  it('has the alarms of deploy/prometheus, and of the product’s own version', () => {
    const [rules] = ofKind(of('observed'), 'PrometheusRule');
    const names = rules.spec.groups
      .flatMap(({ rules: own }: Rendered) => own.map(({ alert }: Rendered) => alert))
      .filter(Boolean);
    const written = ['alerts', 'slo'].flatMap((file) =>
      [...read(`deploy/prometheus/${file}.yml`).matchAll(/- alert: (\w+)/g)].map(([, name]) => name),
    );
    expect(names).toEqual(written);
    expect(JSON.stringify(rules)).toContain('{{ $value }}');
    expect(read('deploy/helm/order-saga/Chart.yaml')).toContain(
      `appVersion: "${JSON.parse(read('package.json')).version}"`,
    );
  });

  it('refuses values that cannot be meant, by their name', async () => {
    const refusals = await Promise.all(
      REFUSED.map(async ([set, ...values]) => {
        const given = set === '' ? [] : ['-f', `${CHART}/ci/${set}.yaml`];
        const { code, said } = await runHelm(
          helm,
          'template',
          'shop',
          CHART,
          ...given,
          ...values.slice(0, -1).flatMap((one) => ['--set', one]),
        );
        return [code !== 0, said.includes(values.at(-1) as string) ? values.at(-1) : said];
      }),
    );
    expect(refusals).toEqual(REFUSED.map((values) => [true, values.at(-1)]));
    const { code, said } = await runHelm(helm, 'lint', '--strict', CHART, '-f', `${CHART}/ci/minimal.yaml`);
    expect([code, said]).toEqual([0, expect.stringContaining('1 chart(s) linted, 0 chart(s) failed')]);
  });
});

/** Variables whose value is a secret, or has one in it. */
const SECRET = /^(DATABASE_URL|REDIS_URL|NATS_URL|RABBITMQ_URL)$|_KEY$|PASSWORD$|SECRET$|HEADERS$/;

/** Addresses, most of which have no password in them; one that has goes to the Secret. */
const MAY_BE_IN_CONFIG = new Set(['WEBHOOK_URL', 'AUDIT_ANCHOR_URL']);

/** A set of values, what is set besides, and what the refusal must name. */
const REFUSED: [string, ...string[]][] = [
  ['', 'auth'],
  ['minimal', 'config.STRIPE_API_KEY=sk_live_1', 'STRIPE_API_KEY'],
  ['minimal', 'relay.config.WEBHOOK_SECRET=whsec_1', 'WEBHOOK_SECRET'],
  ['minimal', 'config.ROLE=all', 'ROLE'],
  ['minimal', 'worker.replicaCount=3', 'replicaCount'],
  ['minimal', 'temporal.address=temporal', 'temporal.address'.replace('.', '/')],
  ['minimal', 'temporal.tls.clientCertificate=true', 'secretName'],
  ['minimal', 'auditAnchor.volume.accessMode=ReadWriteOnce', 'ReadWriteMany'],
  ['minimal', 'image.digest=latest', 'digest'],
];
