/** What can be said of the chart without a server: lint, rendering, the schemas of two versions of Kubernetes, and kube-score's opinion. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './programs.mjs';
import { makeSchemas } from './schemas.mjs';

const VERSIONS = (process.env['KUBE_VERSIONS'] ?? 'v1.32.13,v1.37.2').split(',');
/** Kinds of others, whose schemas are not Kubernetes' own. */
const FOREIGN = 'PodMonitor,PrometheusRule,Connection,WorkerDeployment,WorkerResourceTemplate';
/** Two faults that a schema must notice: a field that is misspelt, and text for a number. */
const PLANTED = [
  ['a misspelt field', 'readOnlyRootFilesystem:', 'readOnlyRootFileSystem:'],
  ['text for a number', 'minReadySeconds: 5', 'minReadySeconds: "five"'],
];
/**
 * kube-score's critical remarks that are left standing, and why. Any other fails.
 * - A user id below 10000 may be that of a person on the node: ours is the image's, which Compose and the volumes know too.
 */
const LEFT_STANDING = ['container-security-context-user-group-id'];

/** @returns set of values → file of its objects */
export function checkFiles({ chart, folder, programs, report }) {
  const { helm, kubeconform, go, 'kube-score': score } = programs;
  report.section('Lint and rendering');
  const sets = readdirSync(join(chart, 'ci')).map((file) => file.replace('.yaml', ''));
  const rendered = new Map();
  for (const set of sets) {
    const values = ['-f', join(chart, 'ci', `${set}.yaml`)];
    const lint = run(helm.path, ['lint', '--strict', chart, ...values]);
    const made = run(helm.path, ['template', 'shop', chart, '--namespace', 'shop', ...values]);
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
      report.check(`${what}, planted, is refused`, !ok, out.split('\n')[0].replace(/^.*? - /, ''));
    }
  }
}

function checkScore({ rendered, score, report }) {
  report.section('kube-score: nothing critical');
  for (const [set, path] of rendered) {
    const { out, err } = run(score.path, ['score', '--output-format', 'ci', path]);
    const lines = out.split('\n').filter((line) => /^\[CRITICAL\]/.test(line));
    const standing = lines.filter((line) =>
      LEFT_STANDING.some((id) => line.includes(id) || /user or group|UserID|GroupID/i.test(line)),
    );
    const rest = lines.filter((line) => !standing.includes(line));
    report.check(
      `values \`${set}\``,
      out !== '' && rest.length === 0,
      rest.length
        ? rest.join('; ')
        : `${out.split('\n').filter((line) => line.startsWith('[OK]')).length} checks hold, ${standing.length} left standing${out === '' ? err : ''}`,
    );
  }
}
