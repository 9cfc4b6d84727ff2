/** Dead letters and destinations in a real Chromium, of a relay that really runs and a receiver that really refuses. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { reserveInventory } from '../../domain/inventory.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { runRelay } from '../support/relay.js';
import { expectAccessible } from './support/accessible.js';
import { describeWithChromium } from './support/chromium.js';
import { asAuditor } from './support/roles.js';

let api: TestApi;
let receiver: Receiver;
let stopRelay: () => Promise<void>;
const poisoned = new Set<string>();
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'A', 1_000_000);
  receiver = await startReceiver();
  receiver.answer = ({ subject, sequence }) => (poisoned.has(subject) && sequence === 2 ? 422 : 204);
  stopRelay = runRelay({ db: api.db, url: api.databaseUrl }, receiver);
});
afterAll(async () => {
  await stopRelay();
  await api.stop();
  await receiver.stop();
});
beforeEach(async () => {
  poisoned.clear();
  receiver.says = undefined;
  await api.db.deadLetter.deleteMany();
});

const states = async () => (await api.db.deadLetter.findMany()).map(({ state }) => state);
async function park(count: number): Promise<string[]> {
  const orders = await Promise.all(Array.from({ length: count }, () => accept(api.db, { A: 1 })));
  for (const { id } of orders) poisoned.add(id);
  await Promise.all(orders.map(({ id }) => reserveInventory(api.db, id)));
  const letters = await eventually('all are parked', async () => {
    const found = await api.db.deadLetter.findMany({ orderBy: { id: 'asc' } });
    return found.length === count && found;
  });
  return letters.map(({ id }) => `${id}`);
}
const rows = (page: Page) => page.getByRole('region', { name: 'Dead letters', exact: true }).locator('tbody tr');
const dialog = (page: Page) => page.getByRole('dialog');

describeWithChromium('dead letters', (open) => {
  test('are shown by cause, and a cause is replayed as a whole, by its number, with what has come of it', async () => {
    await park(12);
    const { page } = await open(api.url, { view: '/dead-letters' });
    await page.getByRole('region', { name: 'Dead letters by cause' }).getByText('rejected').waitFor();
    await expectAccessible(page);
    poisoned.clear();
    await page.getByRole('button', { name: 'Replay 12', exact: true }).click();
    await dialog(page).getByRole('heading', { name: 'Send 12 events again' }).waitFor();
    await expectAccessible(page);
    await dialog(page).getByRole('button', { name: 'Replay 12 letters' }).click({ force: true });
    expect(new Set(await states())).toEqual(new Set(['PARKED'])); // the number was not typed
    await dialog(page).getByLabel('Type 12 to confirm').fill('12');
    await dialog(page).getByRole('button', { name: 'Replay 12 letters' }).click();
    await page.getByText('Of 12 letters: 12 delivered.').waitFor();
    expect(await page.locator('.outcomes li').count()).toBe(12);
    expect(new Set(await states())).toEqual(new Set(['DELIVERED']));
    await page.getByText('None: every destination takes what it is sent.').waitFor();
  });

  test('replayed too early come back, and the page says what the receiver has said', async () => {
    await park(1);
    const { page } = await open(api.url, { view: '/dead-letters' });
    await rows(page)
      .getByRole('button', { name: /^Replay letter/ })
      .click();
    await dialog(page).getByRole('button', { name: 'Replay 1 letter' }).click();
    await page.getByText('Of 1 letter: 1 rejected again.').waitFor();
    await page.getByRole('listitem').filter({ hasText: 'the webhook receiver answered 422' }).waitFor();
  });

  test('are named with the SKU at which the receiver points, and replayed from their order’s page', async () => {
    receiver.says = { code: 'unknown_sku', field: 'data.items[0].sku' };
    const [letter] = await park(1);
    const { orderId } = (await api.db.deadLetter.findMany())[0] as { orderId: string };
    const { page } = await open(api.url, { view: `/orders/${orderId}` });
    await page.getByRole('link', { name: 'Dead letters of this order' }).first().click();
    await page.waitForURL(new RegExp(`#/dead-letters\\?orderId=${orderId}$`));
    await rows(page).getByText('code unknown_sku, field data.items[0].sku').waitFor();
    await rows(page).getByText('that is A', { exact: false }).waitFor();
    await expectAccessible(page);
    await page.goBack();
    poisoned.clear();
    await page.getByRole('button', { name: `Replay letter ${letter} …` }).click();
    await dialog(page).getByRole('button', { name: 'Replay 1 letter' }).click();
    await page.getByText('Of 1 letter: 1 delivered.').waitFor();
    expect(await states()).toEqual(['DELIVERED']);
    await page.getByRole('link', { name: 'Dead letters of this order' }).first().waitFor({ state: 'detached' });
  }, 60_000);

  test('that are chosen are discarded for a reason, and the others stay', async () => {
    const [first, second, third] = await park(3);
    const { page } = await open(api.url, { view: '/dead-letters', requestsMayFail: true });
    for (const id of [first, third]) await page.getByLabel(`Choose letter ${id}`).check();
    await page.getByRole('button', { name: 'Discard 2 letters' }).click();
    await dialog(page).getByText('It cannot be taken back.').waitFor();
    await dialog(page).getByRole('button', { name: 'Discard 2 letters' }).click({ force: true });
    expect(new Set(await states())).toEqual(new Set(['PARKED'])); // there was no reason
    await dialog(page).getByLabel('Reason').fill('they have it from a file, jane@example.com');
    await dialog(page).getByRole('button', { name: 'Discard 2 letters' }).click();
    await dialog(page).locator('.error').waitFor();
    expect(await dialog(page).getByLabel('Reason').inputValue()).toContain('they have it from a file');
    await dialog(page).getByLabel('Reason').fill('they have it from a file, ticket 12');
    await dialog(page).getByRole('button', { name: 'Discard 2 letters' }).click();
    await page.getByText('Of 2 letters: 2 discarded.').waitFor();
    expect(await page.locator('.outcomes li').allInnerTexts()).toEqual([
      expect.stringContaining(`Letter ${first}: discarded`),
      expect.stringContaining(`Letter ${third}: discarded`),
    ]);
    // The pointer rests where the list was; what was decided is gone from it all the same.
    await page.getByText('1 letter shown; there are no more.').waitFor();
    const left = await api.db.deadLetter.findMany({ where: { state: 'PARKED' } });
    expect(left.map(({ id }) => `${id}`)).toEqual([second]);
    expect(await api.db.auditAct.count({ where: { reason: 'they have it from a file, ticket 12' } })).toBe(2);
  }, 60_000);

  test('of one cause are discarded together by their number, though one was decided meanwhile', async () => {
    const ids = await park(3);
    const { page } = await open(api.url, { view: '/dead-letters', requestsMayFail: true });
    await page.getByRole('button', { name: /^Discard 3: / }).click();
    await dialog(page).getByText('This concerns 3 letters').waitFor();
    await api.send('POST', `/admin/dead-letters/${ids[1]}/discard`, { reason: 'first', operator: 'op-1' });
    await dialog(page).getByLabel('Reason').fill('they have it from a file, ticket 14');
    await dialog(page).getByRole('button', { name: 'Discard 3 letters' }).click();
    await page.getByText('Of 3 letters: 2 discarded, 1 already discarded.').waitFor();
    await page
      .getByRole('listitem')
      .filter({ hasText: new RegExp(`Letter ${ids[1]}: already discarded: by op-1: first`) })
      .waitFor();
    expect(new Set(await states())).toEqual(new Set(['DISCARDED']));
  });

  test('that are many stay shown, and chosen, whenever they are read anew; and none comes into another list', async () => {
    const many = 12;
    await park(many);
    // Each of its pages ends after a few, however many it is asked for.
    const terse = await startTestApi({ db: api.db, databaseUrl: api.databaseUrl, pageBytesMax: 2_000 });
    try {
      const { page } = await open(terse.url, { view: '/dead-letters' });
      const more = page.getByRole('button', { name: 'Show more' });
      await more.waitFor();
      expect(await rows(page).count()).toBeLessThan(many / 2);
      await eventually('all are shown', async () => {
        if ((await rows(page).count()) === many) return true;
        if (await more.isEnabled()) await more.click();
        return false;
      });
      await page.getByRole('button', { name: `Choose the ${many} shown` }).click();
      const readAnew = () => page.waitForResponse((answer) => /dead-letters\?((?!cursor).)*$/.test(answer.url()));
      await readAnew();
      await readAnew(); // by now what the first came to is shown
      expect(await rows(page).count()).toBe(many);
      expect(await page.getByRole('button', { name: `Replay ${many} letters` }).isEnabled()).toBe(true);

      await page.reload();
      await page.getByRole('button', { name: 'Pause' }).click();
      let answer = () => {};
      const isAnswered = new Promise<void>((resolve) => {
        answer = resolve;
      });
      await page.route(/dead-letters\?.*cursor=/, async (route) => {
        await isAnswered;
        await route.continue();
      });
      await more.click();
      await page.getByLabel('Which', { exact: true }).selectOption('DISCARDED');
      await page.getByText('Every event has been taken.').waitFor();
      const late = page.waitForResponse(/cursor=/);
      answer();
      await (await late).finished();
      await page.evaluate('new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))');
      await page.getByText('Every event has been taken.').waitFor({ timeout: 1_000 });
      expect(await page.getByRole('checkbox').count()).toBe(0);
    } finally {
      await terse.stop();
    }
  }, 60_000);

  test('are an auditor’s to read, and nothing else', async () => {
    await park(1);
    const { page } = await open(api.url, { view: '/dead-letters', before: asAuditor });
    await rows(page).first().waitFor();
    expect(await page.getByRole('button', { name: /Replay|Discard|Choose/ }).count()).toBe(0);
    expect(await page.getByRole('checkbox').count()).toBe(0);
  });
});

describeWithChromium('destinations', (open) => {
  test('say that one is current, then since when and why it takes nothing and what it is owed, then that it is back', async () => {
    await accept(api.db, { A: 1 });
    const { page } = await open(api.url, { view: '/destinations' });
    await page.getByText('Current: nothing is owed').waitFor();
    await page.getByText('Cursors of its 16 partitions').click();
    await expectAccessible(page);
    const takes = receiver.answer;
    receiver.answer = () => 503;
    await Promise.all(Array.from({ length: 4 }, () => accept(api.db, { A: 1 })));
    await page.getByText('Failing: it takes nothing').waitFor();
    await page.getByText('the webhook receiver answered 503').waitFor();
    await page.getByText('Failing since').waitFor();
    receiver.answer = takes;
    await page.getByText('Current: nothing is owed').waitFor();
    expect(await page.getByText('Failing since').count()).toBe(0);
  }, 60_000);
});
