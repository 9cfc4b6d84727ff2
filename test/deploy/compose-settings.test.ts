/** Whatever can be set must be settable on a server, too: docker-compose.yml passes on no variable that it does not name. */
import { describe, expect, it } from '@jest/globals';
import { fileSecretsOf } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';
import { read, variablesOf } from './text.js';

/** Those that a container is not to be given, each with the reason. */
const NOT_IN_COMPOSE: Record<string, string> = {
  AUDIT_KEY_FILE: 'AUDIT_KEY is there, like the other secrets',
  WORKFLOW_BUNDLE: 'the image has the bundle of its own build, and no other fits it',
  SAGAS_AT_WORK_MAX: 'Compose has no process with ROLE=all',
  LAUNCHER_URL: 'the launcher of `npm start` sets it itself, and no container has one',
  FAILPOINTS: 'planned failures are for this product’s own tests',
};

const sections = sectionsOf(read('docker-compose.yml'));

describe('docker-compose.yml', () => {
  it('has api, worker and relay, each with what all of them share', () => {
    for (const role of ['api', 'worker', 'relay']) {
      expect(sections.get(role)?.named).toContain('ROLE');
      expect(sections.get(role)?.text).toContain('<<: *service');
    }
  });

  it.each(Object.keys(settings))('passes on %s, or says why not', (name) => {
    const given = ['x-database', 'x-service', 'api', 'worker', 'relay'].filter((section) =>
      sections.get(section)?.named.has(name),
    );
    // Either, not both: an exception that is none any more is to be removed.
    expect([name, given.length > 0]).toEqual([name, NOT_IN_COMPOSE[name] === undefined]);
  });

  it.each(fileSecretsOf(settings))('passes on %s_FILE where it passes on the secret itself', (name) => {
    const where = (variable: string) =>
      ['x-database', 'x-service', 'api', 'worker', 'relay'].filter((section) =>
        sections.get(section)?.named.has(variable),
      );
    expect(where(`${name}_FILE`)).toEqual(where(name));
  });

  it.each(['sandbox', 'issuer'])('passes on what .env.example says of the %s', (standIn) => {
    const own = [...variablesOf('.env.example').keys()].filter((name) => name.startsWith(`${standIn.toUpperCase()}_`));
    expect(own.length).toBeGreaterThan(3);
    const missing = own.filter((name) => !sections.get(standIn)?.named.has(name));
    expect(missing).toEqual([]);
  });

  it('has no exception for a setting that is gone', () => {
    expect(Object.keys(NOT_IN_COMPOSE).filter((name) => !(name in settings))).toEqual([]);
  });
});

/** Section (`x-service`, `api`, …) → its text, and the variables that stand in its environment. */
function sectionsOf(compose: string): Map<string, { text: string; named: Set<string> }> {
  const [text = ''] = compose.replace(/(^|\s)#.*$/gm, '').split(/^networks:$/m); // volumes have the services' names
  const parts = text.split(/^(?=x-[\w-]+:| {2}[a-z-]+:(?: &[a-z-]+)?$)/m);
  return new Map(
    parts.flatMap((part) => {
      const name = /^ *([\w-]+):/.exec(part)?.[1];
      const named = new Set([...part.matchAll(/^ +([A-Z][A-Z0-9_]*):/gm)].map(([, variable = '']) => variable));
      return name === undefined ? [] : [[name, { text: part, named }] as const];
    }),
  );
}
