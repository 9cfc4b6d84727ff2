/** Signing in to the console at the issuer of the laptop, as a person does it: in a real browser, by the issuer's own page. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { cleanUp, newFolder, type Running, startIssuer } from '../issuer/support.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { startProxy } from './support/proxy.js';
import { signIn, signInAgain } from './support/sign-in.js';

let issuer: Running;
let api: TestApi;
let elsewhere: TestApi;
let renewing: TestApi;
beforeAll(async () => {
  issuer = await startIssuer(await newFolder());
  const authentication = { issuer: issuer.url, audience: 'order-saga', rolesClaim: 'roles' };
  api = await startTestApi({ authentication });
  const signIn = { clientId: 'console', scope: 'openid offline_access', parameters: {}, origins: [] };
  renewing = await startTestApi({ authentication, signIn });
  elsewhere = await startTestApi({ authentication: { ...authentication, audience: 'another-api' } });
});
afterAll(async () => {
  await Promise.all([api?.stop(), elsewhere?.stop(), renewing?.stop()]);
  await cleanUp();
});

const stored = (page: Page) =>
  page.evaluate('JSON.stringify([Object.entries(sessionStorage), Object.entries(localStorage), document.cookie])');

describeWithChromium('whoever opens the console where callers are authenticated', (open) => {
  test('signs in at the issuer, is back where it was, and leaves no token anywhere but in the page', async () => {
    const { page } = await open(api.url, { view: '/search?q=pi_unheard_of' });
    await expectAccessible(page);
    await signIn(page);
    await page.getByText('Nothing is found.').waitFor();
    expect(page.url()).toBe(`${api.url}/console/#/search?q=pi_unheard_of`);
    expect(await page.locator('.who').textContent()).toContain('ada operator');
    expect(await stored(page)).toBe('[[],[],""]');
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(await stored(page)).toBe('[[],[],""]');
  });

  test('signs out, here and at the issuer, and is asked again', async () => {
    const { page } = await open(api.url, { view: '/about' });
    await signIn(page);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/console/');
  });

  test.each([
    [['customer'], 'the role customer'],
    [[], 'no role that the API knows'],
  ])('with the roles %j is told that they are not enough, and sees no view', async (roles, words) => {
    const { page } = await open(api.url, { view: '/search', requestsMayFail: true });
    await signIn(page, { sub: 'eve', roles });
    await page.getByRole('heading', { name: 'Not for this role' }).waitFor();
    expect(await page.locator('main').textContent()).toContain(`You are signed in as eve with ${words}.`);
    expect(await page.getByRole('link', { name: 'Search' }).count()).toBe(0);
    await expectAccessible(page);
  });

  test('keeps what was typed when the session ends, signs in again in a window, and goes on', async () => {
    const { page } = await open(api.url, { view: '/search', requestsMayFail: true });
    await signIn(page, { ttl: '3s' });
    await page.getByLabel('Find an order').fill('web-half-typ');
    await page.getByText('Your session has ended.').waitFor();
    await page.getByLabel('Find an order').press('End');
    await page.getByLabel('Find an order').pressSequentially('ed');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByText('Nothing on this page is lost.').waitFor();
    await expectAccessible(page);

    await signInAgain(page, { roles: ['auditor'] });
    await page.getByText('Nothing is found.').waitFor();
    expect(await page.getByLabel('Find an order').inputValue()).toBe('web-half-typed');
    expect(await page.getByText('Your session has ended.').count()).toBe(0);
    expect(await page.locator('.who').textContent()).toContain('ada auditor');
  });

  test('does all that below a path of somebody’s proxy: is led there, signs in and again, reads a stream, acts, signs out', async () => {
    await stock(api.db, 'BEHIND', 10);
    const proxy = await startProxy(api.port, '/shop/ops');
    const asked: string[] = [];
    try {
      const { page } = await open(proxy.url, {
        requestsMayFail: true,
        before: async (fresh) => void fresh.on('request', (request) => asked.push(request.url())),
      });
      await page.goto(`${proxy.url}/console`);
      await signIn(page);
      await page.getByRole('heading', { name: 'What is wrong now' }).waitFor();
      expect(page.url()).toBe(`${proxy.url}/console/`);
      // The stream comes through as it is sent: nothing holds its events back.
      const asOf = page.locator('.as-of .status');
      const first = await asOf.filter({ hasText: 'As of' }).innerText();
      await eventually(
        'a later event is shown',
        async () => (await asOf.innerText()).slice(0, 16) !== first.slice(0, 16),
      );
      await page.goto(`${proxy.url}/console/#/stock`);
      await page.getByRole('button', { name: 'Adjust BEHIND' }).click();
      await page.getByLabel('Pieces to add').fill('2');
      await page.getByRole('button', { name: 'Adjust …' }).click();
      await page.getByRole('dialog').getByLabel('Reason').fill('counted behind the proxy');
      await page.getByRole('dialog').getByRole('button', { name: 'Add 2' }).click();
      await page.getByText('BEHIND: 12 on hand').waitFor();
      expect(await api.db.auditAct.count({ where: { reason: 'counted behind the proxy', subject: 'ada' } })).toBe(1);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      expect(page.url()).toMatch(new RegExp(`^${proxy.url}/console/`));
      expect(proxy.redirects.map((to) => new URL(to, `${proxy.url}/console`).href)).toEqual([`${proxy.url}/console/`]);
      const outside = asked.filter((url) => !url.startsWith(`${proxy.url}/`) && !url.startsWith(`${issuer.url}/`));
      expect(outside.filter((url) => !url.startsWith('data:'))).toEqual([]);
    } finally {
      await proxy.stop();
    }
  }, 60_000);

  test('stays signed in without a click where the issuer gives refresh tokens', async () => {
    const { page } = await open(renewing.url, { view: '/search' });
    await signIn(page, { ttl: '4s' });
    await page.getByLabel('Find an order').fill('web-1');
    // Half-way to its end, and again with the one that came then.
    for (const _ of [1, 2]) await page.waitForResponse((response) => response.url() === `${issuer.url}/token`);
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByText('Nothing is found.').waitFor();
    expect(await page.getByText('Your session has ended.').count()).toBe(0);
  });

  test('that turns away at the issuer is told so, and may try again', async () => {
    const { page } = await open(api.url, { view: '/about' });
    await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('The issuer says access_denied').waitFor();
    await signIn(page);
    await page.getByRole('heading', { name: 'About' }).waitFor();
    expect(page.url()).toBe(`${api.url}/console/#/about`);
  });

  test('with an answer that it has not asked for is not signed in by it', async () => {
    const { page } = await open(api.url);
    await page.goto(`${api.url}/console/?code=stolen&state=somebodys#/about`);
    await page.getByText('What came back is not of this tab.').waitFor();
    expect(page.url()).toBe(`${api.url}/console/#/about`);
    await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
    await page.getByLabel('Subject').waitFor();
    await page.goto(`${api.url}/console/?code=stolen&state=somebodys`);
    await page.getByText('What came back is not of this attempt to sign in.').waitFor();
    expect(await stored(page)).toBe('[[],[],""]');
  });

  test('reads in the API’s own words why it does not take the issuer’s tokens', async () => {
    const { page } = await open(elsewhere.url, { requestsMayFail: true });
    await signIn(page);
    await page.getByText('The API does not take the issuer’s token: The token is not valid here (aud).').waitFor();
  });
});

test('the page may talk to the issuer, and is told what it takes to sign in there, and no more', async () => {
  const { headers } = await api.get('/console/');
  expect(headers.get('content-security-policy')).toContain(`connect-src 'self' ${issuer.url};`);
  const { body } = await api.get('/console/config.json');
  expect(body).toMatchObject({
    authentication: 'oidc',
    signIn: {
      issuer: issuer.url,
      issuerUrl: issuer.url,
      clientId: 'order-saga-console',
      scope: 'openid',
      parameters: {},
    },
  });
});
