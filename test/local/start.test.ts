/** Ports that `npm start` cannot have: each is named with the variable that moves it, whenever it is found out. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { temporalPorts } from '../../local/port-uses.js';
import { freePort } from '../../local/processes/ports.js';
import { start } from '../../local/processes/program.js';
import { readSettings } from '../../local/settings.js';
import { temporalProgram } from '../../local/temporal/server.js';
import { required } from '../support/database.js';
import { launchRefused, newInstallation } from '../support/launcher.js';

const VARIABLES = ['PORT', 'SANDBOX_PORT', 'POSTGRES_PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT'] as const;

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0)) await each();
});

/** Another program's: it takes connections and answers none. */
async function take(port: number): Promise<void> {
  const server = await new Promise<Server>((resolve) => {
    const listening = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1', () => resolve(listening));
  });
  cleanUp.push(() => server.close());
}

test('ports that are taken are refused before anything starts, each with its variable', async () => {
  const installation = await newInstallation();
  cleanUp.push(installation.remove);
  for (const name of VARIABLES) await take(Number(installation.env[name]));
  const { code, output } = await launchRefused(installation.env);
  expect(code).toBe(1);
  for (const name of VARIABLES) expect(output).toMatch(`Port ${installation.env[name]} (${name}, for `);
}, 60_000);

test('so few ports for metrics that one is missing are refused with METRICS_PORT', async () => {
  const installation = await newInstallation({ METRICS_PORT: '65535', LOCAL_PROCESSES: 'api,worker,relay' });
  cleanUp.push(installation.remove);
  const { code, output } = await launchRefused(installation.env);
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('METRICS_PORT=<port> npm start') });
}, 60_000);

test.each(['TEMPORAL_PORT', 'TEMPORAL_UI_PORT'] as const)(
  'a port that another program takes between the check and Temporal’s start is named with %s',
  async (variable) => {
    const ports = { TEMPORAL_PORT: `${await freePort()}`, TEMPORAL_UI_PORT: `${await freePort()}` };
    const settings = readSettings({ ...ports });
    const folder = mkdtempSync(join(tmpdir(), 'order-saga-start-'));
    cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
    const temporal = temporalProgram({
      cli: required('TEMPORAL_CLI_PATH'),
      port: settings.TEMPORAL_PORT,
      uiPort: settings.TEMPORAL_UI_PORT,
      file: join(folder, 'temporal', 'temporal.db'),
      logFile: join(folder, 'temporal.log'),
    });
    await take(Number(ports[variable]));
    const message = await start({ ...temporal, ports: temporalPorts(settings) }).catch((err: Error) => err.message);
    expect(message).toMatch(/^Temporal ended while it started/);
    expect(message).toContain(`\nPort ${ports[variable]} (${variable}, for `);
    expect(message).toContain(`${variable}=<port> npm start`);
  },
  60_000,
);
