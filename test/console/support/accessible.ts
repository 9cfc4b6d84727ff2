/** WCAG 2.2 AA as far as a program can tell: axe in both themes, and reflow at 320 px (1.4.10). */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect } from '@jest/globals';
import type { Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Claims that the page, as it stands, has no finding of axe in either theme, and scrolls in one direction only where it is narrow. */
export async function expectAccessible(page: Page): Promise<void> {
  const before = page.viewportSize();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect({ colorScheme, findings: await findingsOf(page) }).toEqual({ colorScheme, findings: [] });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 320, height: 640 });
  const widths = await ask<[number, number]>(page, '[document.documentElement.scrollWidth, innerWidth]');
  expect(widths[0]).toBeLessThanOrEqual(widths[1]);
  expect(await findingsOf(page)).toEqual([]);
  if (before) await page.setViewportSize(before);
}

async function findingsOf(page: Page): Promise<string[]> {
  await ask(page, `window.axe || function () { ${AXE} }.call(window); null`);
  const run = `axe.run(document, { runOnly: ${JSON.stringify(TAGS)} }).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => id + ': ' + html.slice(0, 200) + ' — ' + failureSummary)))`;
  return ask<string[]>(page, run);
}

/** By the debugger itself: whatever the page's policy allows its own scripts, this runs. */
async function ask<T>(page: Page, expression: string): Promise<T> {
  const debug = await page.context().newCDPSession(page);
  const { result, exceptionDetails } = await debug.send('Runtime.evaluate', {
    ...{ expression, awaitPromise: true, returnByValue: true },
  });
  await debug.detach();
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value as T;
}
