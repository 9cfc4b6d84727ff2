/** What .env.example promises must be what the programs do. */
import { describe, expect, it } from '@jest/globals';
import { readConfig } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';
import { composeVariables, variablesOf } from './text.js';

const example = variablesOf('.env.example');
const DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/nothing';

describe('.env.example', () => {
  it.each(Object.keys(settings))('has %s', (name) => {
    expect([...example.keys()]).toContain(name);
  });

  it('gives every setting of the service its default', () => {
    const byDefault = readConfig(settings, { DATABASE_URL });
    const asWritten = readConfig(settings, { ...Object.fromEntries(example), DATABASE_URL });
    expect(asWritten).toEqual(byDefault);
  });

  it('gives a value only to what has a default', () => {
    const byDefault: Record<string, unknown> = readConfig(settings, { DATABASE_URL });
    const withoutDefault = Object.keys(settings).filter(
      (name) => byDefault[name] === undefined || byDefault[name] === '',
    );
    const given = withoutDefault.map((name) => `${name}=${example.get(name)}`);
    expect(given).toEqual(withoutDefault.map((name) => `${name}=`));
  });

  it('has every variable that docker-compose.yml reads, with the same default', () => {
    const variables = [...composeVariables()];
    expect(variables.length).toBeGreaterThan(20);
    const wanted = variables.map(([name, fallback]) => `${name}=${fallback ?? example.get(name) ?? '(missing)'}`);
    const written = variables.map(([name]) => `${name}=${example.get(name)}`);
    const own: Record<string, string> = {
      TEMPORAL_ADDRESS: 'localhost:7233',
      TEMPORAL_UI_URL: '',
      ALLOW_PLAINTEXT: '',
      KEY_ENCRYPTION: 'off',
    }; // compose has its own
    expect(written).toEqual(
      wanted.map((line) => line.replace(/^(\w+)=.*/, (all, name) => (name in own ? `${name}=${own[name]}` : all))),
    );
  });
});

describe('deploy/dev.env', () => {
  it('sets nothing that .env.example does not explain', () => {
    const unknown = [...variablesOf('deploy/dev.env').keys()].filter((name) => !example.has(name));
    expect(unknown).toEqual([]);
  });
});
