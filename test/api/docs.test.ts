/** The browsable documentation, in the browser. Skipped where there is no Chromium: `apt-get install chromium`. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { startTestApi } from '../support/api.js';
import { type OpenApi, operationsOf } from '../support/openapi.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const folders = (process.env['PATH'] ?? '').split(delimiter);
const chromium = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);

/** The page as it stands when its scripts have come to rest, and what the browser complained of. */
async function browse(url: string): Promise<{ dom: string; complaints: string[] }> {
  const profile = await mkdtemp(join(tmpdir(), 'order-saga-chromium-'));
  const offline = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';
  const run = ['--headless', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr', `--user-data-dir=${profile}`];
  const { stdout, stderr } = await promisify(execFile)(
    String(chromium),
    [...run, offline, '--virtual-time-budget=20000', '--dump-dom', url],
    { maxBuffer: 1 << 26, timeout: 90_000 },
  );
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  return { dom: stdout, complaints: stderr.split('\n').filter((line) => line.includes('CONSOLE')) };
}

(chromium ? test : test.skip)(
  'shows every operation, with no network but to this server and under its own policy',
  async () => {
    const api = await startTestApi();
    const document = (await api.get<OpenApi>('/openapi.json')).body;
    const { dom, complaints } = await browse(`${api.url}/docs`);
    await api.stop();
    const shown = [...dom.matchAll(/<div[^>]* id="operations-[^"]*-(\w+)"/g)].map((match) => match[1]);
    expect(shown.sort()).toEqual(
      operationsOf(document)
        .map((operation) => operation.operationId)
        .sort(),
    );
    expect(dom).toContain(document.info.title);
    // An attribute `style` of the page's own is refused, and nothing is missed by it.
    expect(complaints.filter((line) => !line.includes('Applying inline style'))).toEqual([]);
  },
  120_000,
);
