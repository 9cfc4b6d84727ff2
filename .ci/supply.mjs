#!/usr/bin/env node
/**
 * Supply: what the packages that we install are. Writes dist.supply/licences.md and dist.supply/sbom.cdx.json (CycloneDX), and fails
 * - on a licence of a kind that is not in the list below: whether we may pass on such a package is for a person to decide, once;
 * - on a package of production with a known vulnerability of level `high` or worse, where npm's registry answers that question.
 *   One that does not is named; REQUIRE_AUDIT=1 makes that a failure, too.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'dist.supply');
const LIMIT_MS = 60_000;

/** They ask for no more than their text being passed on. */
const PERMISSIVE = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'Zlib',
  'CC0-1.0',
];
/** Other kinds, of these packages only. */
const ALLOWED = {
  'CC-BY-4.0': ['caniuse-lite'], // data about browsers, within webpack; named in the list, as it asks
  'EPL-2.0': ['elkjs'], // unchanged, of Prisma Studio: in no image but that of the migrations
  'MPL-2.0': ['axe-core'], // tests only
  'Python-2.0': ['argparse'], // builds and tests only
};
/** Packages that say it in a file rather than in package.json, as read there. */
const READ_FROM_FILE = { 'seq-queue': 'MIT', unionfs: 'Unlicense' };

const { packages } = JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8'));
const installed = Object.entries(packages).map(([path, { name: itself, version, license, dev = false }]) => {
  // A package may be installed under another name (npm:string-width@4): it is known by its own.
  const name = itself ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  return { name, version, dev, licence: license ?? READ_FROM_FILE[name] ?? licenceOf(path) };
});

/** @returns what package.json says, in one of the ways in which it was said over the years */
function licenceOf(path) {
  const { license, licenses } = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'));
  const said = license ?? licenses?.map?.(({ type }) => type).join(' OR ');
  return typeof said === 'object' ? said.type : (said ?? 'none');
}

const isAllowed = ({ name, licence }) => permits(licence.replace(/^\((.*)\)$/, '$1'), name);
/** Of an SPDX expression: one of what OR joins must do, all of what AND joins. */
function permits(expression, name) {
  if (/ or /i.test(expression))
    return expression.split(/ or /i).some((part) => permits(part.replace(/[()]/g, ''), name));
  if (/ and /i.test(expression))
    return expression.split(/ and /i).every((part) => permits(part.replace(/[()]/g, ''), name));
  return PERMISSIVE.includes(expression) || ALLOWED[expression]?.includes(name) === true;
}

mkdirSync(out, { recursive: true });
const problems = [...licences(), ...sbom(), ...audit()];
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;

function licences() {
  const used = installed.filter(({ dev }) => !dev);
  const rows = [...new Set(used.map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`))].sort();
  writeFileSync(
    join(out, 'licences.md'),
    `# Packages of production\n| package | version | licence |\n|---|---|---|\n${rows.join('\n')}\n`,
  );
  const counts = [...groupByLicence()].map(([licence, of]) => `${of.length} ${licence}`).join(', ');
  process.stdout.write(`${installed.length} packages, ${used.length} of them of production: ${counts}.\n`);
  return installed
    .filter((entry) => !isAllowed(entry))
    .map(
      ({ name, version, licence }) =>
        `${name}@${version} has the licence ${licence}, which .ci/supply.mjs does not allow.`,
    );
}

/** Node 20 has no Map.groupBy. */
function groupByLicence() {
  const groups = new Map();
  for (const entry of installed) groups.set(entry.licence, [...(groups.get(entry.licence) ?? []), entry]);
  return groups;
}

/** Of production only. `npm sbom --omit=dev` leaves out what a development package needs as well, so the choice is made here. */
function sbom() {
  const { status, stdout, stderr } = npm('sbom', '--sbom-format=cyclonedx', '--sbom-type=application');
  if (status !== 0) return [`npm sbom failed: ${stderr.trim().split('\n').slice(0, 3).join(' ')}`];
  const bom = JSON.parse(stdout);
  const used = new Set(installed.filter(({ dev }) => !dev).map(({ name, version }) => `${name}@${version}`));
  bom.components = bom.components.filter(({ name, version }) => used.has(`${name}@${version}`));
  const refs = new Set([bom.metadata.component, ...bom.components].map((component) => component['bom-ref']));
  bom.dependencies = bom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.has(other)) }));
  bom.metadata.component.name = 'order-saga'; // npm writes the folder's name
  writeFileSync(join(out, 'sbom.cdx.json'), `${JSON.stringify(bom, null, 2)}\n`);
  const listed = new Set(bom.components.map(({ name, version }) => `${name}@${version}`));
  process.stdout.write(`dist.supply/sbom.cdx.json: ${listed.size} components.\n`);
  return [...used].filter((name) => !listed.has(name)).map((name) => `${name} is installed, and not in the SBOM.`);
}

function audit() {
  const { stdout } = npm('audit', '--json', '--omit=dev', '--audit-level=high');
  const answer = parse(stdout);
  if (answer?.metadata?.vulnerabilities === undefined) {
    const sentence = `Known vulnerabilities were not looked for: ${answer?.message ?? 'npm audit gave no answer'}.`;
    if (process.env.REQUIRE_AUDIT === '1') return [sentence];
    process.stdout.write(`${sentence}\n`);
    return [];
  }
  return Object.values(answer.vulnerabilities)
    .filter(({ severity }) => severity === 'high' || severity === 'critical')
    .map(
      ({ name, range, severity }) => `${name} ${range} has a known vulnerability (${severity}): npm audit names it.`,
    );
}

function npm(...args) {
  return spawnSync('npm', args, { cwd: root, encoding: 'utf8', timeout: LIMIT_MS, maxBuffer: 64 * 1024 * 1024 });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
