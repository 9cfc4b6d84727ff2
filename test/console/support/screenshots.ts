/** Screenshots for docs/console, made by the tests that show what is on them: with SCREENSHOTS=1 only. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

const FOLDER = 'docs/console';
/** Enough to see what it is about, and small. */
const SHOWN = { x: 0, y: 0, width: 1280, height: 720 };

/** @param name of the file, without its ending */
export async function screenshot(page: Page, name: string): Promise<void> {
  if (process.env['SCREENSHOTS'] !== '1') return;
  mkdirSync(FOLDER, { recursive: true });
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path: join(FOLDER, `${name}.png`), animations: 'disabled', clip: SHOWN });
}
