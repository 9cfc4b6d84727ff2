/** The chart as Helm renders it. Where this machine has no Helm its tests are skipped by name, or fail where REQUIRE_HELM=1. */
import { execFile, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe } from '@jest/globals';
import { ROOT, read } from '../text.js';

export const CHART = join(ROOT, 'deploy/helm/order-saga');
/** What is rendered: each file a way in which somebody runs it. */
export const VALUE_SETS = readdirSync(join(CHART, 'ci')).map((file) => file.replace(/\.yaml$/, ''));

/** What these tests read of an object; of anything else nothing is said. */
// biome-ignore lint/suspicious/noExplicitAny: objects of a dozen kinds, whose types are Kubernetes' own
export type Rendered = any;
export type Sets = Map<string, Rendered[]>;

/** Built by .ci/run, where there is Go; of that version. */
const CACHED = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  `order-saga/helm-${/HELM_VERSION=(\S+)/.exec(read('.ci/run'))?.[1]}/helm`,
);

function findHelm(): string | undefined {
  const named = process.env['HELM'];
  const candidates = named === undefined ? ['helm', CACHED] : [named];
  return candidates.find((program) => spawnSync(program, ['version'], { stdio: 'ignore' }).status === 0);
}

export function describeWithHelm(name: string, tests: (helm: string) => void): void {
  const helm = findHelm();
  if (helm !== undefined) return void describe(name, () => tests(helm));
  const missing = 'no `helm` on the PATH or in HELM; .ci/run builds it where Go is';
  if (process.env['REQUIRE_HELM'] === '1') throw new Error(`REQUIRE_HELM=1, but there is ${missing}`);
  process.stderr.write(`Skipped, the Helm chart: ${missing}\n`);
  describe.skip(`${name} (skipped: ${missing})`, () => tests(''));
}

const run = promisify(execFile);
/** A Helm that was built from its module takes itself for that of Kubernetes 1.20. */
const KUBE_VERSION = ['--kube-version', '1.34.0'];

/** @returns exit code and what it says; never throws */
export async function runHelm(helm: string, ...args: string[]): Promise<{ code: number; said: string }> {
  try {
    const { stdout, stderr } = await run(helm, [...args, ...KUBE_VERSION], { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
    return { code: 0, said: stdout + stderr };
  } catch (err) {
    const { code, stdout, stderr } = err as { code: number; stdout: string; stderr: string };
    return { code, said: stdout + stderr };
  }
}

/**
 * Nothing that reads YAML is among our dependencies, and Helm has that itself: in a copy of the chart one more template renders all others, and
 * says each object as a line of JSON.
 */
const AS_JSON = `
{{- range $file := splitList " " "FILES" }}
{{- range splitList "\\n---\\n" (print "\\n" (include (print $.Template.BasePath "/" $file) $) "\\n") }}
{{- with fromYaml . }}
---
{{ toJson . }}
{{- end }}
{{- end }}
{{- end }}
`;

/** @returns the objects of each set of values, one start of Helm each */
export async function renderAll(helm: string): Promise<Sets> {
  const copy = mkdtempSync(join(tmpdir(), 'chart-'));
  try {
    cpSync(CHART, copy, { recursive: true, dereference: true });
    const templates = readdirSync(join(copy, 'templates'), { recursive: true, encoding: 'utf8' });
    const files = templates.filter((file) => file.endsWith('.yaml')).map((file) => file.replaceAll('\\', '/'));
    writeFileSync(join(copy, 'templates/as-json.yaml'), AS_JSON.replace('FILES', files.join(' ')));
    if (!existsSync(join(copy, 'ci'))) throw new Error('The chart has no sets of values.');
    return new Map(
      await Promise.all(VALUE_SETS.map(async (set) => [set, await render(helm, copy, set)] as [string, Rendered[]])),
    );
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function render(helm: string, chart: string, set: string): Promise<Rendered[]> {
  const values = join(CHART, 'ci', `${set}.yaml`);
  const { code, said } = await runHelm(
    helm,
    ...['template', 'shop', chart, '--namespace', 'shop', '-f', values, '-s', 'templates/as-json.yaml'],
  );
  if (code !== 0) throw new Error(`${set}: ${said}`);
  const objects = [...said.matchAll(/^\{.*\}$/gm)].map(([line]): Rendered => JSON.parse(line));
  const broken = objects.find(({ kind, Error: why }) => kind === undefined || why !== undefined);
  if (objects.length === 0 || broken) throw new Error(`${set}: ${broken ? JSON.stringify(broken) : said}`);
  return objects;
}
