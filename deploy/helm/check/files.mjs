/** What can be said of the chart without a server: lint, rendering, the schemas of two versions of Kubernetes, and kube-score's opinion. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './programs.mjs';
import { makeSchemas } from './schemas.mjs';

const VERSIONS = (process.env['KUBE_VERSIONS'] ?? 'v1.32.13,v1.37.2').split(',');
/** Kinds of others, whose schemas are not Kubernetes' own. */
const FOREIGN = 'PodMonitor,PrometheusRule,Connection,WorkerDeployment,WorkerResourceTemplate';
/** A Helm that was built from its module takes itself for that of Kubernetes 1.20. */
const KUBE_VERSION = ['--kube-version', '1.34.0'];
/** Two faults that a schema must notice: a field that is misspelt, and text for a number. */
const PLANTED = [
  ['a misspelt field', 'readOnlyRootFilesystem:', 'readOnlyRootFileSystem:'],
  ['text for a number', 'minReadySeconds: 5', 'minReadySeconds: "five"'],
];
/**
 * Remarks of kube-score that are left standing, and why:
 * - A pull at each start, which is to keep a node from using another's image under the same tag: ours are named by version or digest, and with it
 *   no pod could begin anew while the registry is away.
 * - Of pods that the Temporal Worker Controller makes it cannot know, so that it misses those of a policy.
 */
const IGNORED = ['container-image-pull-policy'];
const UNSEEN = { 'worker-controller': /selector doesn't match any pods/ };

/** @returns set of values → file of its objects */
export function checkFiles({ chart, folder, programs, report }) {
  const { helm, kubeconform, go, 'kube-score': score } = programs;
  report.section('Lint and rendering');
  const sets = readdirSync(join(chart, 'ci')).map((file) => file.replace('.yaml', ''));
  const rendered = new Map();
  for (const set of sets) {
    const values = ['-f', join(chart, 'ci', `${set}.yaml`)];
    const lint = run(helm.path, ['lint', '--strict', chart, ...KUBE_VERSION, ...values]);
    const made = run(helm.path, ['template', 'shop', chart, '--namespace', 'shop', ...KUBE_VERSION, ...values]);
    const path = join(folder, `${set}.yaml`);
    writeFileSync(path, made.out);
    const count = [...made.out.matchAll(/^kind: /gm)].length;
    report.check(
      `values \`${set}\``,
      lint.ok && made.ok,
      lint.ok && made.ok ? `${count} objects` : lint.out + made.err,
    );
    rendered.set(set, path);
  }
  if (kubeconform && go) checkSchemas({ rendered, folder, kubeconform, go, report });
  else report.skip('Schemas of Kubernetes', 'needs kubeconform and go');
  if (score) checkScore({ rendered, score, report });
  else report.skip('kube-score', 'it is not here');
  return rendered;
}

function checkSchemas({ rendered, folder, kubeconform, go, report }) {
  for (const version of VERSIONS) {
    const { kinds, location } = makeSchemas(go.path, version, join(folder, 'schemas'));
    report.section(`Schemas of Kubernetes ${version} (${kinds} kinds), strict`);
    const args = ['-strict', '-summary', '-skip', FOREIGN, '-schema-location', location];
    for (const [set, path] of rendered) {
      const { ok, out, err } = run(kubeconform.path, [...args, path]);
      report.check(`values \`${set}\``, ok && / Invalid: 0, Errors: 0/.test(out), out + err);
    }
    const [sound = ''] = rendered.values();
    for (const [what, from, to] of PLANTED) {
      const planted = run('sed', [`0,/${from}/s//${to}/`, sound]).out;
      const { ok, out } = run(kubeconform.path, [...args, '-'], { input: planted });
      report.check(`${what}, planted, is refused`, !ok, out.split('\n')[0].replace(/^.* - at/, 'at'));
    }
  }
}

function checkScore({ rendered, score, report }) {
  report.section(`kube-score: nothing critical (without ${IGNORED.join(', ')})`);
  const ignored = IGNORED.flatMap((id) => ['--ignore-test', id]);
  for (const [set, path] of rendered) {
    const { out, err } = run(score.path, ['score', '--output-format', 'ci', ...ignored, path]);
    const lines = out.split('\n');
    const critical = lines.filter((line) => line.startsWith('[CRITICAL]') && !UNSEEN[set]?.test(line));
    const fine = lines.filter((line) => line.startsWith('[OK]')).length;
    report.check(
      `values \`${set}\``,
      fine > 0 && critical.length === 0,
      critical.join('; ') || err || `${fine} checks hold`,
    );
  }
}
