/** The console's frame in a real Chromium: what it loads, under which policy, how large it is, below which path. */
import { readdirSync, readFileSync } from 'node:fs';
import { SourceTextModule } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestApi, type TestApi } from '../support/api.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';

const COMPRESSED_MAX_BYTES = 80 * 1024;
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.stop());

test('the page is served under the strictest policy, and asked for anew each time', async () => {
  const page = await api.get('/console/');
  expect(Object.fromEntries(page.headers)).toMatchObject({
    'content-type': expect.stringContaining('text/html'),
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cache-control': 'no-cache',
  });
  const etag = String(page.headers.get('etag'));
  expect((await api.get('/console/', { 'if-none-match': etag })).status).toBe(304);
  expect((await api.get('/console/../package.json')).status).toBe(404);
  expect((await api.get('/console/tsconfig.json')).status).toBe(404);
});

test('what browsers are sent has no comments, is the same code, and has every line where the source has it', async () => {
  const code = /^(import|export|function|const|let|return|} from| {2}(const|return|if|let) )/;
  for (const path of readdirSync('console', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.js'),
  )) {
    const source = readFileSync(`console/${path}`, 'utf8').split('\n');
    const { text, headers } = await api.get(`/console/${path}`);
    expect([path, headers.get('content-type')]).toEqual([path, 'text/javascript; charset=utf-8']);
    expect(() => new SourceTextModule(text)).not.toThrow();
    const lines = text.split('\n');
    const changed = source.filter((line, at) => code.test(line) && !line.includes('/*') && lines[at] !== line);
    const kept = lines.filter((line) => /^ *\/?\*/.test(line) && !/\*\/ ?[^ ]/.test(line));
    expect({ path, changed, kept }).toEqual({ path, changed: [], kept: [] });
  }
});

test('the address without its slash leads to the page, below whatever path a proxy has put it', async () => {
  const { status, headers } = await fetch(`${api.url}/console`, { redirect: 'manual' });
  expect([status, headers.get('location')]).toEqual([302, 'console/']);
});

describeWithChromium('the console', (open) => {
  test('loads less than 80 KB compressed, nothing of it from elsewhere', async () => {
    const loaded = new Set<string>();
    const { page } = await open(api.url, {
      before: async (fresh) => void fresh.on('response', (response) => loaded.add(response.url())),
    });
    await page.waitForLoadState('networkidle').catch(() => undefined);
    const files = [...loaded].filter((url) => new URL(url).pathname.startsWith('/console/'));
    expect([...loaded].filter((url) => !url.startsWith(api.url))).toEqual([]);
    const sizes = await Promise.all(
      files.map(async (url) => gzipSync(Buffer.from(await (await fetch(url)).arrayBuffer())).length),
    );
    expect(files.length).toBeGreaterThan(10);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(COMPRESSED_MAX_BYTES);
    expect(files.filter((url) => /\/later\/|runbook\.md/.test(url))).toEqual([]);
  });

  test('says that there is no authentication, and has no finding of axe in either theme', async () => {
    const { page } = await open(api.url, { view: '/about' });
    await page.getByText('No authentication:').waitFor();
    await expectAccessible(page);
    // Where there is no room for the views they are behind a button, which opens them by keyboard, too.
    await page.setViewportSize({ width: 320, height: 640 });
    const menu = page.getByRole('button', { name: 'Views' });
    expect(await page.getByRole('link', { name: 'Findings' }).count()).toBe(0);
    await menu.focus();
    await page.keyboard.press('Enter');
    await expectAccessible(page);
    await page.setViewportSize({ width: 320, height: 640 });
    await page.getByRole('link', { name: 'Findings' }).click();
    await page.waitForURL(/#\/findings$/);
    expect(await menu.getAttribute('aria-expanded')).toBe('false');
  });

  test('lists an order’s events by their numbers, whatever their steps’ clocks say', async () => {
    const { page } = await open(api.url);
    const listed = await page.evaluate<string[]>(`import('./views/order/in-sequence.js').then(({ inSequence }) => {
      const event = (sequence, at) => ({ lane: 'events', what: sequence + '', sequences: [sequence], at, until: at });
      const undo = { lane: 'saga', what: 'undo', at: '02', until: '04' };
      return inSequence([event(4, '01'), undo, event(6, '03'), event(5, '04')]).map(({ what, at }) => what + ' ' + at);
    })`);
    expect(listed).toEqual(['4 01', 'undo 02', '5 04', '6 04']);
  });

  test('has the runbook with it, which is loaded when it is opened, and the section of every cause', async () => {
    const { page, show } = await open(api.url);
    const slugs = await page.evaluate<string[]>(`Promise.all([import('./lib/runbook.js'), import('./later/markdown.js'),
      fetch('runbook.md').then((answer) => answer.text())]).then(([{ SECTIONS }, { sectionsOf }, text]) => {
        const there = sectionsOf(text).map(({ slug }) => slug);
        return SECTIONS.filter((slug) => !there.includes(slug));
      })`);
    expect(slugs).toEqual([]);
    await show('/runbook/stock-is-wrong');
    await page.getByRole('heading', { name: 'Stock is wrong' }).waitFor();
    await page.getByText("--by -7 --reason 'broken in the warehouse, ticket 12'").waitFor();
    await expectAccessible(page);
    await show('/runbook');
    await page.getByRole('link', { name: 'A saga needs attention' }).last().click();
    await page.waitForURL(/#\/runbook\/a-saga-needs-attention$/);
    await page.getByRole('heading', { name: 'A saga needs attention' }).waitFor();
  });

  test('a path without a view says so', async () => {
    const { page } = await open(api.url, { view: '/nowhere' });
    await page.getByRole('heading', { name: 'Nothing here' }).waitFor();
  });
});
