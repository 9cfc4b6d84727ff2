/**
 * The console in a real browser: playwright-core drives the Chromium of this machine (Debian's, or the one that CHROMIUM names). Where there
 * is none its tests are skipped by name, or fail the run where REQUIRE_CHROMIUM=1. Whatever the page or the browser complains of fails
 * the test: errors on the console, exceptions, violations of the policy.
 */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect } from '@jest/globals';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const MISSING = 'Chromium is not here: apt-get install chromium, or name one by CHROMIUM.';
/** No network but to this machine. */
const OFFLINE = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost';
/** How long an expected element may take. */
const PATIENCE_MS = 20_000;

export type Opening = {
  /** Behind `#`; absent = the first screen. */
  view?: string;
  theme?: 'light' | 'dark';
  width?: number;
  height?: number;
  /** Requests are meant to fail: the browser notes each on the console. */
  requestsMayFail?: boolean;
  /** Of the page before its own scripts, such as a clock. */
  before?: (page: Page) => Promise<void>;
};
export type ConsolePage = {
  page: Page;
  context: BrowserContext;
  /** Goes to a view of this page. */
  show(view: string): Promise<void>;
  /** What page and browser have complained of until now. */
  complaints: readonly string[];
};
/** @param url of the API, or of whatever is before it, with the path below which it stands */
export type OpenConsole = (url: string, opening?: Opening) => Promise<ConsolePage>;

export function findChromium(env: NodeJS.ProcessEnv): string | undefined {
  if (env['CHROMIUM'] !== undefined) return env['CHROMIUM'];
  const folders = (env['PATH'] ?? '').split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
}

/** What a test file of the console begins with, at its top level. One browser for all its tests, a profile for each page. */
export function describeWithChromium(name: string, tests: (open: OpenConsole) => void): void {
  const program = findChromium(process.env);
  if (program === undefined && process.env['REQUIRE_CHROMIUM'] === '1')
    throw new Error(`REQUIRE_CHROMIUM=1, but ${MISSING}`);
  if (program === undefined) process.stderr.write(`Skipped: ${MISSING}\n`);
  const describeHere = program === undefined ? describe.skip : describe;
  describeHere(program === undefined ? `${name} (skipped; ${MISSING})` : name, () => {
    let browser: Browser;
    const opened: ConsolePage[] = [];
    beforeAll(async () => {
      browser = await chromium.launch({
        ...{
          executablePath: String(program),
          args: ['--no-sandbox', '--disable-gpu', OFFLINE],
          chromiumSandbox: false,
        },
      });
    });
    afterEach(async () => {
      const complaints = opened.flatMap((each) => each.complaints);
      await Promise.all(opened.splice(0).map(({ context }) => context.close()));
      expect(complaints).toEqual([]);
    });
    afterAll(() => browser?.close());
    tests(async (url, opening = {}) => {
      const page = await openPage(browser, url, opening);
      opened.push(page);
      return page;
    });
  });
}

async function openPage(browser: Browser, url: string, opening: Opening): Promise<ConsolePage> {
  const { theme = 'light', width = 1280, height = 900, view = '/' } = opening;
  const context = await browser.newContext({ colorScheme: theme, viewport: { width, height } });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    const isOfRequest = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !(opening.requestsMayFail && isOfRequest))
      complaints.push(`console: ${message.text()} ${message.location().url}`);
  });
  await page.addInitScript({
    content: `addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sample }) =>
      console.error('policy violated: ' + violatedDirective + ' ' + blockedURI + ' ' + sample));`,
  });
  await opening.before?.(page);
  const show = async (next: string) => {
    await page.goto(`${url}/console/#${next}`);
    await page
      .locator('main h1')
      .waitFor()
      .catch((err: Error) => {
        throw new Error(`${next} is not shown: ${complaints.join('; ') || 'without a word'}`, { cause: err });
      });
  };
  await show(view);
  return { page, context, complaints, show };
}
