/**
 * `npm run kube:test`: the chart held against what a cluster would say of it, as far as this machine has the programs (deploy/kubernetes.md). What
 * is not here is named and left out. Writes deploy/helm/RESULTS.md.
 *
 * Besides programs: KUBE_VERSIONS (of OpenAPI documents, with commas), CRDS (folders of definitions of other people's kinds, with colons).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkAdmission } from './admission.mjs';
import { startCluster } from './cluster.mjs';
import { checkFiles } from './files.mjs';
import { checkLife } from './life.mjs';
import { findPrograms } from './programs.mjs';
import { createReport } from './report.mjs';

const RESULTS = fileURLToPath(new URL('../RESULTS.md', import.meta.url));
const CHART = fileURLToPath(new URL('../order-saga', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'kube-test-'));
const report = createReport((line) => process.stdout.write(`${line}\n`));
const programs = findPrograms();
let cluster;
try {
  const rendered = checkFiles({ chart: CHART, folder, programs, report });
  if (['etcd', 'kube-apiserver', 'kubectl'].every((name) => programs[name])) {
    cluster = await startCluster(programs, join(folder, 'cluster'));
    const context = { chart: CHART, folder, programs, report, cluster, rendered };
    await checkAdmission(context);
    if (cluster.hasNodes) await checkLife(context);
    else report.skip('Rollouts, evictions and autoscaling', 'needs kube-controller-manager and kube-scheduler');
  } else report.skip('A real API server', 'needs etcd, kube-apiserver and kubectl');
} catch (err) {
  report.fail(err);
} finally {
  await cluster?.stop();
  if (!process.env['KEEP']) rmSync(folder, { recursive: true, force: true });
}
writeFileSync(RESULTS, report.document(programs));
process.exitCode = report.failures() > 0 ? 1 : 0;
