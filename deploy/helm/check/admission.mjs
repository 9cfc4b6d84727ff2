/** What the API server says of each object before it would keep it: its fields, its defaults, and Pod Security `restricted`. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Faults that admission must refuse, or warn of. */
const PLANTED = [
  ['a misspelt field', 'readOnlyRootFilesystem:', 'readOnlyRootFileSystem:'],
  ['a probe on a port without a name', 'port: metrics', 'port: metrix_'],
  ['a pod as root', 'runAsNonRoot: true', 'runAsNonRoot: false'],
  ['a pod that may gain rights', 'allowPrivilegeEscalation: false', 'allowPrivilegeEscalation: true'],
];

export async function checkAdmission({ folder, report, cluster, rendered }) {
  const { kubectl, namespace } = cluster;
  report.section('A real API server: server-side dry run, in a namespace where Pod Security enforces `restricted`');
  kubectl('create', 'namespace', namespace);
  const levels = ['enforce', 'warn'].flatMap((mode) => [
    `pod-security.kubernetes.io/${mode}=restricted`,
    `pod-security.kubernetes.io/${mode}-version=latest`,
  ]);
  kubectl('label', 'namespace', namespace, ...levels);
  const foreign = addForeignKinds({ kubectl, report });
  for (const [set, path] of rendered) {
    const text = readFileSync(path, 'utf8');
    // A pod is only taken if its account is there, which a dry run leaves away.
    const accounts = documents(text).filter((one) => /^kind: ServiceAccount$/m.test(one));
    apply(kubectl, join(folder, 'accounts.yaml'), accounts);
    const known = documents(text).filter((one) => foreign.has(groupOf(one)) || !isForeign(one));
    const left = documents(text).length - known.length;
    const { ok, out, err } = apply(kubectl, join(folder, 'known.yaml'), known, '--dry-run=server');
    const taken = out.split('\n').filter((line) => /serverside-applied/.test(line)).length;
    const says =
      ok && err === ''
        ? `${taken} taken without a warning${left ? `, ${left} of kinds it does not know left out` : ''}`
        : err;
    report.check(`values \`${set}\``, ok && err === '' && taken === known.length, says);
  }
  const [, sound = ''] = [...rendered][0] ?? [];
  const api = documents(readFileSync(sound, 'utf8')).find(
    (one) => /^kind: Deployment$/m.test(one) && /name: .*-api$/m.test(one),
  );
  for (const [what, from, to] of PLANTED) {
    const { ok, err } = apply(kubectl, join(folder, 'planted.yaml'), [api.replaceAll(from, to)], '--dry-run=server');
    report.check(
      `${what}, planted, is refused or warned of`,
      !ok || /would violate PodSecurity/.test(err),
      err.replace(/^.*?(Warning|error|Error|The )/s, '$1'),
    );
  }
}

function addForeignKinds({ kubectl, report }) {
  const groups = new Set();
  for (const folder of (process.env['CRDS'] ?? '').split(':').filter(Boolean)) {
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.yaml'))) {
      const { ok, err } = kubectl('apply', '--server-side', '-f', join(folder, file));
      const group = /^ {2}group: (\S+)/m.exec(readFileSync(join(folder, file), 'utf8'))?.[1];
      if (ok && group) groups.add(group);
      else report.check(`definitions in ${file}`, false, err);
    }
  }
  if (groups.size > 0) kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s');
  return groups;
}

export const documents = (text) => text.split(/^---$/m).filter((one) => /^kind: /m.test(one));
const groupOf = (document) => /^apiVersion: ([^/\s]+)\//m.exec(document)?.[1] ?? '';
const isForeign = (document) => /^(temporal\.io|monitoring\.coreos\.com)$/.test(groupOf(document));

function apply(kubectl, path, objects, ...options) {
  writeFileSync(path, objects.join('\n---\n'));
  return kubectl('apply', '--server-side', '--force-conflicts', '--validate=strict', ...options, '-f', path);
}
