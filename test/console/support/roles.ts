/** The console of an auditor, without an issuer: the page is told that everybody has that role alone. What the API allows is its own to say. */
import type { Page } from 'playwright-core';

export const asAuditor = async (page: Page): Promise<void> => {
  await page.route('**/console/lib/session.js', async (route) => {
    const response = await route.fetch();
    const body = (await response.text()).replace(/const EVERY_ROLE = \[[^\]]*\]/, "const EVERY_ROLE = ['auditor']");
    await route.fulfill({ response, body });
  });
};
