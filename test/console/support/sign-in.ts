/** Signing in on the page of the laptop's issuer, as a person does it. */
import type { Page } from 'playwright-core';

export type Choice = { sub?: string; roles?: string[]; ttl?: string };

/** On the issuer's page. */
export async function choose(
  page: Page,
  { sub = 'ada', roles = ['operator'], ttl = '1h' }: Choice = {},
): Promise<void> {
  await page.getByLabel('Subject').fill(sub);
  for (const role of ['operator', 'auditor', 'customer', 'service'])
    await page.getByRole('checkbox', { name: `${role}:` }).setChecked(roles.includes(role));
  await page.getByLabel('The token is good for').fill(ttl);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

export async function signIn(page: Page, choice?: Choice): Promise<void> {
  await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
  await choose(page, choice);
}

/** In the window that opens beside the page, which stays as it is. */
export async function signInAgain(page: Page, choice?: Choice): Promise<void> {
  const opened = page.context().waitForEvent('page');
  await page.getByRole('button', { name: 'Sign in again' }).last().click();
  const window = await opened;
  const closed = window.waitForEvent('close');
  await choose(window, choice);
  await closed;
}
