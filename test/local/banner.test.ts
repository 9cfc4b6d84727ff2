import { expect, test } from '@jest/globals';
import { type BannerFacts, banner } from '../../local/banner.js';
import { readSettings } from '../../local/settings.js';

const facts: BannerFacts = {
  settings: readSettings({}),
  dataDir: '/data',
  databaseUrlFile: '/data/database-url',
  temporalCli: '/cache/temporal-v1',
  processes: [{ name: 'all', pid: 7 }],
  seconds: 2.5,
  metricsPorts: [9464],
};

test('the banner says where the Temporal CLI is, which a developer who never installed it cannot know', () => {
  expect(banner(facts)).toContain('\n  Temporal CLI /cache/temporal-v1\n');
});

test('the banner names no CLI where Temporal is not ours', () => {
  const settings = readSettings({ TEMPORAL_ADDRESS: 'temporal.example:7233', TEMPORAL_TLS: 'true' });
  const text = banner({ ...facts, settings, temporalCli: undefined });
  expect(text).toContain('Temporal     temporal.example:7233');
  expect(text).not.toContain('Temporal CLI');
});

test.each(['api,relay', 'api', 'relay'])(
  'the banner says that no process runs sagas, of LOCAL_PROCESSES=%s',
  (text) => {
    const settings = readSettings({ LOCAL_PROCESSES: text });
    expect(banner({ ...facts, settings })).toContain('\nNo process here runs sagas: orders stay PENDING');
  },
);

test.each(['all', 'api,worker,relay', 'worker'])('it does not of LOCAL_PROCESSES=%s', (text) => {
  const settings = readSettings({ LOCAL_PROCESSES: text });
  expect(banner({ ...facts, settings })).not.toContain('runs sagas');
});
