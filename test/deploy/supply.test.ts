/** `npm run supply`: what of our packages ends a CI run. npm and what it has installed are this test's own. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ROOT } from './text.js';

type Package = { license: string; dev?: boolean };

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'order-saga-supply-'));
  cpSync(join(ROOT, '.ci', 'supply.mjs'), join(root, '.ci', 'supply.mjs'));
  for (const folder of ['node_modules', 'bin']) mkdirSync(join(root, folder));
});
afterEach(() => rmSync(root, { recursive: true }));

const HARMLESS = { metadata: { vulnerabilities: { total: 0 } }, vulnerabilities: {} };

/** @param inSbom what npm says that it has installed, if that is not all */
function supply(packages: Record<string, Package>, audit: object = HARMLESS, env = {}, inSbom = Object.keys(packages)) {
  const lock = Object.fromEntries(
    Object.entries(packages).map(([name, rest]) => [`node_modules/${name}`, { version: '1.0.0', ...rest }]),
  );
  writeFileSync(join(root, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: lock }));
  const components = inSbom.map((name) => ({ name, version: '1.0.0', 'bom-ref': `${name}@1.0.0` }));
  const bom = { metadata: { component: { 'bom-ref': 'us' } }, components, dependencies: [] };
  const says = (what: object) => `printf '%s' '${JSON.stringify(what)}'`;
  const script = `#!/bin/sh\ncase "$1" in sbom) ${says(bom)} ;; audit) ${says(audit)} ;; esac\n`;
  writeFileSync(join(root, 'bin', 'npm'), script);
  chmodSync(join(root, 'bin', 'npm'), 0o755);
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, '.ci', 'supply.mjs')], {
    env: { PATH: `${join(root, 'bin')}:${process.env['PATH']}`, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test.each(['MIT', '(MIT OR GPL-3.0)', 'MIT AND Zlib', 'Apache-2.0'])('the licence %s is taken', (license) => {
  expect(supply({ it: { license } })).toMatchObject({ status: 0, stderr: '' });
});

test.each([
  ['AGPL-3.0', false],
  ['MIT AND GPL-3.0', false],
  ['UNLICENSED', false],
  ['EPL-2.0', false], // allowed, of another package
  ['SSPL-1.0', true],
])('the licence %s is not, of a package that only we use as well (development: %p)', (license, dev) => {
  const { status, stderr } = supply({ fine: { license: 'MIT' }, it: { license, dev } });
  expect(status).toBe(1);
  expect(stderr).toBe(`it@1.0.0 has the licence ${license}, which .ci/supply.mjs does not allow.\n`);
});

test('a known vulnerability of level high is not, a lesser one is', () => {
  const answer = (severity: string) => ({
    ...HARMLESS,
    vulnerabilities: { it: { name: 'it', range: '<2', severity } },
  });
  expect(supply({ it: { license: 'MIT' } }, answer('moderate')).status).toBe(0);
  expect(supply({ it: { license: 'MIT' } }, answer('high'))).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('it <2 has a known vulnerability (high)'),
  });
});

test('a registry that does not answer is named, and fails only whoever asks for that', () => {
  const silent = { message: '405 Method Not Allowed' };
  const it = { it: { license: 'MIT' } };
  expect(supply(it, silent)).toMatchObject({ status: 0, stdout: expect.stringContaining('405 Method Not Allowed') });
  expect(supply(it, silent, { REQUIRE_AUDIT: '1' }).status).toBe(1);
});

test('an SBOM has every package of production, and none that only we use', () => {
  const packages = { used: { license: 'MIT' }, ours: { license: 'MIT', dev: true } };
  expect(supply(packages).status).toBe(0);
  const bom = JSON.parse(readFileSync(join(root, 'dist.supply', 'sbom.cdx.json'), 'utf8')) as { components: unknown[] };
  expect(bom.components).toEqual([expect.objectContaining({ name: 'used' })]);
  expect(supply(packages, HARMLESS, {}, ['ours'])).toMatchObject({
    status: 1,
    stderr: 'used@1.0.0 is installed, and not in the SBOM.\n',
  });
});
