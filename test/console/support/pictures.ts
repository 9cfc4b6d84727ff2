/** Screenshots for docs/console/, taken by the tests that bring about what they show: with PICTURES=1 only. */
import { mkdirSync } from 'node:fs';
import type { Page } from 'playwright-core';

/**
 * @param name of the file, without its ending
 * @param height of what is shown, from the top; absent = the whole page
 */
export async function picture(page: Page, name: string, height?: number): Promise<void> {
  if (process.env['PICTURES'] !== '1') return;
  mkdirSync('docs/console', { recursive: true });
  const path = `docs/console/${name}.png`;
  if (height === undefined) return void (await page.screenshot({ path, fullPage: true }));
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path, clip: { x: 0, y: 0, width: page.viewportSize()?.width ?? 1_280, height } });
}
