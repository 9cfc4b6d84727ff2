/** The console's buttons of `npm start`, pressed over HTTP as the page does: durability, and nothing that is left behind. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ConfigError } from '../../runtime/config.js';
import { launcherOf } from '../../service/launcher.js';
import { describeWithChromium } from '../console/support/chromium.js';
import { expectAccessible } from '../console/support/accessible.js';
import { startTestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { clientOf, type Installation, isAlive, launch, newInstallation, type Running } from '../support/launcher.js';

let installation: Installation;
let running: Running;
let client: ReturnType<typeof clientOf>;
beforeAll(async () => {
  installation = await newInstallation({ LOCAL_PROCESSES: 'api,worker,relay' });
  running = await launch(installation);
  client = clientOf(installation);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await installation?.remove();
}, 60_000);

type State = { buttons: { id: string }[]; faults: { id: string; until: string }[]; told: { says: string }[] };
const state = () => client.get<State>('/demo');
const press = async (id: string) => (await fetch(`${installation.api}/demo/${id}`, { method: 'POST' })).status;
const told = (what: RegExp) =>
  eventually(
    `it is told: ${what}`,
    async () => (await state().catch(() => undefined))?.told.some(({ says }) => what.test(says)),
    60_000,
  );
const isFrozen = (pid: number) => / T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/\(.*\)/, ''));
const finals = async () => (await client.list()).filter(({ status }) => status !== 'PENDING').length;

test('orders are placed and confirmed', async () => {
  expect(await press('orders')).toBe(202);
  await told(/^20 orders were accepted$/);
  await eventually('all are confirmed', async () => (await client.list('CONFIRMED')).length === 20, 40_000);
}, 60_000);

test('while the gateway is down orders wait; when it is back they are confirmed, and nothing was lost', async () => {
  expect(await press('gateway-down')).toBe(202);
  await told(/^The gateway is down/);
  expect((await state()).faults).toMatchObject([{ id: 'gateway' }]);
  expect(await press('gateway-down')).toBe(409);
  const { id } = await client.post({ 'SKU-MOUSE': 1 });
  await press('gateway-up');
  await told(/^The gateway answers again \(by a button\)/);
  expect((await client.final(id, 60_000)).status).toBe('CONFIRMED');
}, 90_000);

test('frozen workers leave accepted orders waiting, and go on with them when they are thawed', async () => {
  const worker = running.pid('worker');
  expect(await press('freeze')).toBe(202);
  await eventually('it is frozen', () => isFrozen(worker));
  const { id } = await client.post({ 'SKU-CABLE': 1 });
  expect((await client.order(id)).status).toBe('PENDING');
  expect(await press('thaw')).toBe(202);
  await eventually('it goes on', () => !isFrozen(worker));
  expect((await client.final(id, 60_000)).status).toBe('CONFIRMED');
  expect(running.pid('worker')).toBe(worker);
}, 90_000);

test('killed workers start again by themselves', async () => {
  const worker = running.pid('worker');
  await press('kill');
  await eventually(
    'another runs',
    () => isAlive(running.pids()['worker'] ?? 0) && running.pids()['worker'] !== worker,
    30_000,
  );
  expect((await client.final((await client.post({ 'SKU-CABLE': 1 })).id, 60_000)).status).toBe('CONFIRMED');
}, 90_000);

type Letters = { deadLetters: { id: string }[]; groups: { count: number }[] };
test('dead letters come about, and are delivered when the receiver is mended and they are replayed', async () => {
  expect(await press('dead-letters')).toBe(202);
  await told(/^8 orders were placed/);
  const letters = await eventually(
    'eight wait',
    async () => {
      const { deadLetters } = await client.get<Letters>('/admin/dead-letters');
      return deadLetters.length === 8 && deadLetters;
    },
    40_000,
  );
  await press('mend');
  await told(/^The receiver takes everything/);
  const answer = await client.send('POST', '/admin/dead-letters/replay', { ids: letters.map(({ id }) => id) });
  expect(((await answer.json()) as { results: { outcome: string }[] }).results.map(({ outcome }) => outcome)).toEqual(
    letters.map(() => 'delivered'),
  );
}, 120_000);

describeWithChromium('the first screen of npm start', (open) => {
  test('has the buttons, says what one has done, and until when', async () => {
    const { page } = await open(installation.api, { requestsMayFail: true });
    await page.getByRole('heading', { name: 'Try it out' }).waitFor();
    await page.getByRole('button', { name: 'Take the gateway down' }).click();
    await page.getByText(/ends by itself in \d+ s/).waitFor();
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Bring the gateway back' }).click();
    await page.getByText('The gateway answers again (by a button)').first().waitFor();
  }, 60_000);
});

test('what is frozen when everything is stopped is let go on, stops in order, and no process is left', async () => {
  const before = await finals();
  expect(before).toBeGreaterThan(20);
  const pids = Object.values(running.pids());
  await press('freeze');
  await eventually('it is frozen', () => isFrozen(running.pid('worker')));
  const { code } = await running.stop();
  expect(code).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
}, 60_000);

describe('no server has the buttons', () => {
  const launcher = `http://127.0.0.1:4711/${'s'.repeat(32)}`;
  test.each([
    ['beyond this machine', { HOST: '0.0.0.0' }],
    ['where callers are authenticated', { AUTH_ISSUER: 'https://issuer.example' }],
    ['with an address that is no launcher’s', { LAUNCHER_URL: 'http://10.0.0.1:4711/secret' }],
  ])('%s a process refuses to start with LAUNCHER_URL', (_where, changed) => {
    const config = { LAUNCHER_URL: launcher, HOST: '127.0.0.1', ...changed };
    expect(() => launcherOf(config)).toThrow(ConfigError);
    expect(() => launcherOf(config)).toThrow(/LAUNCHER_URL/);
  });

  test('without a launcher the routes are not there, and the console has none', async () => {
    const api = await startTestApi();
    try {
      expect([(await api.get('/demo')).status, (await api.send('POST', '/demo/kill')).status]).toEqual([404, 404]);
      expect((await api.get('/console/config.json')).body).toMatchObject({ demo: false });
    } finally {
      await api.stop();
    }
  });

  test('neither Compose nor Helm nor an image can set it', () => {
    expect(
      findFiles('docker-compose.yml', 'deploy').filter((file) => readFileSync(file, 'utf8').includes('LAUNCHER_URL')),
    ).toEqual([]);
  });
});

const findFiles = (...paths: string[]): string[] =>
  paths.flatMap((path) =>
    statSync(path).isDirectory() ? findFiles(...readdirSync(path).map((name) => join(path, name))) : [path],
  );
