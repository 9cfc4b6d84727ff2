/**
 * Every form of the console while things go wrong between it and the API: nothing answers, the token is refused, too much was asked, the
 * request is wrong, the answer is lost. It says what to do, keeps what was typed, and in the end has done what was asked once.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Locator, Page } from 'playwright-core';
import { auditKeys } from '../../domain/audit/signatures.js';
import { openFinding } from '../../domain/reconciliation.js';
import { startOperations } from '../../workers/operations/runner.js';
import { cleanUp, newFolder, startIssuer } from '../issuer/support.js';
import { SILENT, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept } from '../support/database.js';
import { describeWithChromium } from './support/chromium.js';
import { postedTo, readingForms } from './support/forms.js';
import { type Proxy, RETRY_AFTER_S, startProxy, TROUBLES, type Trouble } from './support/proxy.js';
import { signIn, signInAgain } from './support/sign-in.js';
import { type ConsoleStack, SHORT, startConsoleStack } from './support/stack.js';

type Form = {
  view: string;
  /** Up to where one click sends it; what is typed in the dialog is typed for all. */
  fill: (page: Page) => Promise<unknown>;
  button: RegExp;
  /** The number that the dialog wants typed. */
  typed?: string;
  done: RegExp;
};

let s: ConsoleStack;
let api: TestApi;
let proxy: Proxy;
let stopRunner: () => Promise<void>;
beforeAll(async () => {
  s = await startConsoleStack();
  const issuer = await startIssuer(await newFolder());
  api = await s.startApi({ authentication: { issuer: issuer.url, audience: 'order-saga', rolesClaim: 'roles' } });
  proxy = await startProxy(api.port, '/shop/ops');
  stopRunner = startOperations({
    ...{ db: s.db, keys: auditKeys([]), client: () => s.client, where: 'test/default', policy: SHORT, logger: SILENT },
  });
}, 120_000);
afterAll(async () => {
  await proxy?.stop();
  await stopRunner?.();
  await api?.stop();
  await cleanUp();
  await s?.stopAll();
});

const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name }).first();

/** By what they post to, or by the file that has them. Each makes what it is about. */
const FORMS: Record<string, () => Promise<Form>> = {
  'inventory/*/adjust': async () => ({
    view: '/stock',
    fill: async (page) => {
      await page.getByLabel('SKU', { exact: true }).fill('KEYBOARD');
      await page.getByLabel('Pieces to add').fill('7');
      await button(page, 'Adjust …').click();
    },
    button: /Add 7$/,
    done: /KEYBOARD: [\d,]+ on hand/,
  }),
  'admin/brakes/*/engage': async () => ({
    view: '/brakes',
    fill: async (page) => {
      await page.getByLabel('Most within an hour').fill('USD 900000000');
      await button(page, 'Limit spending …').click();
    },
    button: /Limit spending$/,
    done: /Spending limit: held back/,
  }),
  'admin/brakes/*/release': async () => {
    await s.api.send('POST', '/admin/brakes/accepting/engage', { reason: 'stock is being counted' });
    return {
      view: '/brakes',
      fill: async (page) => {
        await page.getByLabel('What whoever orders is told').fill('Back at noon');
        await button(page, 'Release accepting orders').click();
      },
      button: /Release$/,
      done: /Accepting orders: released/,
    };
  },
  'admin/customers/*/erase': async () => ({
    view: '/erasures',
    fill: async (page) => {
      await page.getByLabel('Id of the customer').fill('cus_nobody');
      await button(page, 'Erase …').click();
    },
    button: /Erase 1 customer$/,
    done: /Nobody is known by that id/,
  }),
  'admin/findings/*/close': async () => ({
    view: `/findings?orderId=${await finding()}`,
    fill: (page) => button(page, /^Close as cancelled: finding/).click(),
    button: /Close it as cancelled$/,
    done: /Finding \d+: Settled/,
  }),
  'admin/findings/*/refund': async () => ({
    view: `/findings?orderId=${await finding()}`,
    fill: (page) => button(page, /^Give back/).click(),
    button: /Give back EUR 12.34$/,
    typed: '1',
    done: /In hand: refunding/,
  }),
  'admin/dead-letters/replay': async () => {
    const id = await letter();
    return {
      view: '/dead-letters',
      fill: (page) => button(page, `Replay letter ${id}`).click(),
      button: /Replay 1 letter$/,
      done: /Of 1 letter:/,
    };
  },
  'admin/dead-letters/*/discard': async () => {
    const id = await letter();
    return {
      view: '/dead-letters',
      fill: (page) => button(page, `Discard letter ${id}`).click(),
      button: /Discard 1 letter$/,
      done: /Discarded 1 of 1 letter/,
    };
  },
  'admin/operations/preview': async () => {
    const id = await letter();
    return {
      view: '/operations?action=discard',
      fill: (page) => page.getByLabel('Ids of dead letters').fill(id),
      button: /^Preview$/,
      done: /Nothing has been decided yet/,
    };
  },
  'admin/operations': async () => ({
    view: `/operations/${await preview('discard')}`,
    fill: async (page) => {
      await page.getByLabel('Canary').fill('1');
      await page.getByLabel('so many a second').fill('3');
      await button(page, 'Discard 1 dead letter …').click();
    },
    button: /Discard 1 dead letter$/,
    done: /How far it is/,
  }),
  'admin/operations/*/*': async () => {
    const id = await preview('replay');
    const starting = { preview: id, expectedCount: 1, reason: 'ticket 1', canary: [], ratePerSecond: 0.1 };
    await s.api.send('POST', '/admin/operations', starting);
    return {
      view: `/operations/${id}`,
      fill: (page) => button(page, 'Abort …').click(),
      button: /Abort it$/,
      done: /Aborted/,
    };
  },
  'admin/sagas/*/resolve': async () => ({
    view: `/orders/${await parked()}`,
    fill: (page) => button(page, 'Retry chargePayment …').click(),
    button: /Retry chargePayment$/,
    done: /It worked: the order is CONFIRMED/,
  }),
  'orders/*/cancel': async () => {
    const { body } = await s.api.place({}, { prefer: 'wait=25' });
    return {
      view: `/orders/${body.id}`,
      fill: (page) => button(page, 'Cancel the order …').click(),
      button: /Cancel the order$/,
      typed: '1',
      done: /Accepted, and not there yet|It worked: the order is CANCELLED/,
    };
  },
  'views/search.js': async () => ({
    view: '/search',
    fill: (page) => page.getByLabel('Find an order').fill('pi_unheard_of'),
    button: /^Search$/,
    done: /Nothing is found/,
  }),
  'views/search-common.js': async () => ({
    view: '/search',
    fill: (page) => page.getByLabel('Holds stock of the SKU').fill('NOBODYS'),
    button: /^Find orders$/,
    done: /there are no more|Nothing|No order/,
  }),
  'later/audit.js': async () => ({
    view: '/audit',
    fill: (page) => page.getByLabel('About what').fill('KEYBOARD'),
    button: /^Search$/,
    done: /There are no more|there are no more/,
  }),
};
/** Presses of `npm start`, in which nothing is typed; their launcher is not here. */
const NOT_FORMS = ['demo/*'];

async function finding(): Promise<string> {
  const { id } = await accept(s.db, { KEYBOARD: 1 });
  const charge = { reference: `pi_${id}`, orderId: id, amount: 1_234, currency: 'EUR' };
  await openFinding(s.db, 'DOUBLE_CHARGE', 'reported', charge);
  return id;
}

async function letter(): Promise<string> {
  const { id: orderId } = await accept(s.db, { KEYBOARD: 1 });
  const event = { destination: 'webhook', orderId, sequence: 1, type: 'order.accepted', cause: 'rejected' };
  const { id } = await s.db.deadLetter.create({ data: { ...event, error: 'it answered 422', attempts: 3 } });
  return `${id}`;
}

async function preview(action: string): Promise<string> {
  const asked = { action, deadLetterIds: [await letter()] };
  return (await s.api.send<{ id: string }>('POST', '/admin/operations/preview', asked)).body.id;
}

async function parked(): Promise<string> {
  await s.fault({ route: 'charge', mode: 'down' });
  const { order } = await s.place({ KEYBOARD: 1 }, { policy: SHORT });
  await eventually('it is parked', async () => {
    const { body } = await s.api.get<{ sagas: unknown[] }>('/admin/sagas');
    return body.sagas?.length > 0;
  });
  await s.heal();
  return order.id;
}

const typedIn = (page: Page) =>
  page.evaluate<string>(
    `JSON.stringify([...document.querySelectorAll('input[type=text], textarea, select')].map(({ id, value }) => [id, value]))`,
  );

async function actsOnRecord(reason: string): Promise<number> {
  const { body } = await s.api.get<{ entries: { reason: string | null }[] }>('/admin/audit/entries?kind=act&limit=200');
  return body.entries.filter((entry) => entry.reason === reason).length;
}

/** What the page says then, and what it is about. */
const TOLD: Record<Trouble, RegExp> = {
  gone: /The API does not answer just now\. Nothing that you typed is lost/,
  'token-refused': /Nothing on this page is lost/,
  'too-many': new RegExp(`At most 10 acts a minute[\\s\\S]*(again in|after) [1-${RETRY_AFTER_S}] s`),
  wrong: /reason|action|limit|\bq\b/,
  'answer-lost': /The API does not answer just now\. Nothing that you typed is lost/,
};

test('every form that the console’s sources have is here, and no other', () => {
  expect(Object.keys(FORMS).sort()).toEqual(
    [...postedTo().filter((path) => !NOT_FORMS.includes(path)), ...readingForms()].sort(),
  );
});

describeWithChromium('a form, whatever goes wrong,', (open) => {
  test.each(Object.entries(FORMS))(
    'keeps what was typed, says what to do, and is done once: %s',
    async (name, make) => {
      const form = await make();
      const isReading = name.endsWith('.js');
      const isAct = !isReading && name !== 'admin/operations/preview';
      const reason = `ticket ${name.replaceAll(/[^a-z]/g, '-')}`;
      const { page } = await open(proxy.url, { view: form.view, requestsMayFail: true });
      await signIn(page);
      await form.fill(page);
      const within: Page | Locator = isAct ? page.getByRole('dialog') : page.locator('main');
      if (isAct) await within.getByLabel('Reason').fill(reason);
      if (form.typed !== undefined) await within.getByLabel(/^Type/).fill(form.typed);
      const typed = await typedIn(page);
      const send = () => within.getByRole('button', { name: form.button }).last().click();
      const of = isReading ? /^GET \/admin\/(search|orders|audit\/entries)/ : /^POST /;
      for (const kind of TROUBLES) {
        proxy.trouble = { kind, of };
        await send();
        await within.getByText(TOLD[kind]).first().waitFor();
        expect({ kind, typed: await typedIn(page) }).toEqual({ kind, typed });
        proxy.trouble = undefined;
        if (kind === 'token-refused') await signInAgain(page);
      }
      await send();
      await page.getByText(form.done).first().waitFor();
      if (isAct) expect(await actsOnRecord(reason)).toBe(1);
    },
  );
});
