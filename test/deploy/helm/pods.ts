/** What a rendered chart runs: its pods, and which of its objects select or name which. */
import type { Rendered } from './rendering.js';

export type Workload = {
  kind: string;
  name: string;
  role: string;
  object: Rendered;
  pod: Rendered;
  container: Rendered;
};

/** @returns whatever has pods: Deployments, the job, the test, and what the Temporal Worker Controller would make Deployments of */
export function workloads(objects: Rendered[]): Workload[] {
  return objects
    .map((object) => ({ object, pod: object.kind === 'Pod' ? object : object.spec?.template }))
    .filter(({ pod }) => pod?.spec?.containers !== undefined)
    .map(({ object, pod }) => ({
      kind: object.kind,
      name: object.metadata.name,
      role: pod.metadata.labels['app.kubernetes.io/component'],
      object,
      pod,
      container: pod.spec.containers[0],
    }));
}

export const ofKind = (objects: Rendered[], kind: string): Rendered[] => objects.filter((one) => one.kind === kind);

export const envOf = ({ container }: Workload): Record<string, string> =>
  Object.fromEntries(container.env.map(({ name, value }: { name: string; value: string }) => [name, value]));

export const selects = (selector: Rendered, labels: Record<string, string>): boolean =>
  Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);

/** Pod Security `restricted`, version 1.34, of what a chart may get wrong. @returns what is against it */
export function againstRestricted({ pod, container }: Workload): string[] {
  const { spec } = pod;
  const volumes = [
    'configMap',
    'csi',
    'downwardAPI',
    'emptyDir',
    'ephemeral',
    'persistentVolumeClaim',
    'projected',
    'secret',
  ];
  const rules: [string, boolean][] = [
    ['one container, no other kind of them', spec.containers.length === 1 && !spec.initContainers],
    ['no namespace of the host', !spec.hostNetwork && !spec.hostPID && !spec.hostIPC],
    ['no port of the host', !(container.ports ?? []).some((port: Rendered) => port.hostPort)],
    [
      'volumes of the kinds that are allowed',
      (spec.volumes ?? []).every((one: Rendered) => volumes.some((kind) => one[kind])),
    ],
    ['not as root', spec.securityContext.runAsNonRoot === true && spec.securityContext.runAsUser > 0],
    ['seccomp', spec.securityContext.seccompProfile?.type === 'RuntimeDefault'],
    ['no more privileges', container.securityContext.allowPrivilegeEscalation === false],
    ['not privileged', !container.securityContext.privileged],
    ['no capabilities', JSON.stringify(container.securityContext.capabilities) === '{"drop":["ALL"]}'],
    // Ours beyond it:
    ['nothing to write to', container.securityContext.readOnlyRootFilesystem === true],
    ['no token of the cluster', spec.automountServiceAccountToken === false && spec.enableServiceLinks === false],
  ];
  return rules.filter(([, holds]) => !holds).map(([rule]) => rule);
}
