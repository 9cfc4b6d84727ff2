/** Screenshots for docs/console/, taken by the tests that bring about what they show: with PICTURES=1 only. */
import { mkdirSync } from 'node:fs';
import type { Page } from 'playwright-core';

/** @param name of the file, without its ending */
export async function picture(page: Page, name: string): Promise<void> {
  if (process.env['PICTURES'] !== '1') return;
  mkdirSync('docs/console', { recursive: true });
  await page.screenshot({ path: `docs/console/${name}.png`, fullPage: true });
}
