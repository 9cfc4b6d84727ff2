/** Renovate's settings: each version that we name ourselves is one that it finds. */
import { readdirSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { read } from './text.js';

type Manager = { managerFilePatterns: string[]; matchStrings: string[]; depNameTemplate?: string };
const { customManagers } = JSON.parse(read('renovate.json')) as { customManagers: Manager[] };
const FILES = ['docker-compose.yml', '.ci/run', '.ci/sign', 'local/temporal/obtain.ts', 'testbed/brokers/programs.ts'];

const found = FILES.flatMap((file) =>
  customManagers
    .filter(({ managerFilePatterns }) => managerFilePatterns.some((each) => new RegExp(each.slice(1, -1)).test(file)))
    .flatMap(({ matchStrings, depNameTemplate }) =>
      matchStrings.flatMap((pattern) =>
        [...read(file).matchAll(new RegExp(pattern, 'g'))].map(({ groups }) => ({
          file,
          name: groups?.['depName'] ?? depNameTemplate,
          version: groups?.['currentValue'],
        })),
      ),
    ),
);

test('every pattern finds something, in a file that is there', () => {
  const names = new Set(found.map(({ name }) => name));
  for (const { depNameTemplate } of customManagers)
    if (depNameTemplate !== undefined) expect(names).toContain(depNameTemplate);
});

test('each image of the compose file that a variable may replace is found, with its version', () => {
  const images = [...read('docker-compose.yml').matchAll(/image: (?:&\S+ )?(\S*\$\{\S+)$/gm)].map(([, image]) => image);
  const versioned = images.map((image) =>
    image?.replace(/^\$\{\w+:-(.*)\}$/, '$1').replace(/\$\{\w+:-([^}]*)\}/, '$1'),
  );
  expect(images.length).toBeGreaterThan(5);
  expect(found.map(({ name, version }) => `${name}:${version}`)).toEqual(expect.arrayContaining(versioned));
});

test.each(FILES.slice(1))('each program’s version in %s is found', (file) => {
  const versions = [...read(file).matchAll(/^(?:export )?(?:const )?\w+_VERSION ?= ?'?([\d.]+)'?;?$/gm)].map(
    ([, v]) => v,
  );
  expect(versions.length).toBeGreaterThan(0);
  expect(
    found
      .filter((each) => each.file === file)
      .map(({ version }) => version)
      .toSorted(),
  ).toEqual(versions.toSorted());
});

test('what a release is signed by is in the workflow, and signs what was pushed by its digest', () => {
  const workflow = read('.github/workflows/release.yml');
  expect(workflow).toContain('.ci/sign dist.supply/sbom.cdx.json <images');
  expect(workflow).toMatch(/--provenance=mode=max/);
  const targets = [...read('deploy/Dockerfile').matchAll(/ AS (service|migrate)$/gm)].map(([, target]) => target);
  for (const target of targets) expect(workflow).toContain(`${target}:order-saga`);
  expect(readdirSync('.github/workflows').toSorted()).toEqual(['ci.yml', 'release.yml']);
});
