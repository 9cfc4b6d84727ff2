/** Every form of the console, as a person fills it in: each makes what it is about, and is sent by one click. */
import type { Page } from 'playwright-core';
import { openFinding } from '../../../domain/reconciliation.js';
import { eventually } from '../../support/conditions.js';
import { accept } from '../../support/database.js';
import { type ConsoleStack, SHORT } from './stack.js';

export type Form = {
  view: string;
  /** Up to where one click sends it; what is typed in the dialog is typed for all. */
  fill: (page: Page) => Promise<unknown>;
  button: RegExp;
  /** The number or sum that the dialog wants typed. */
  typed?: string;
  done: RegExp;
  /** After a 429 it waits, and goes on by itself. */
  isPatient?: true;
};

const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name }).first();

/** By what they post to, or by the file that has them. Each makes what it is about. */
export const FORMS: Record<string, (s: ConsoleStack) => Promise<Form>> = {
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
      await page.getByLabel('Most within an hour').fill('USD 9000000');
      await button(page, 'Limit spending …').click();
    },
    button: /Limit spending$/,
    done: /Spending limit: held back/,
  }),
  'admin/brakes/*/release': async (s) => {
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
  'admin/findings/*/close': async (s) => ({
    view: `/findings?orderId=${await finding(s)}`,
    fill: (page) => button(page, /^Close as cancelled: finding/).click(),
    button: /Close it as cancelled$/,
    done: /Finding \d+: Settled/,
  }),
  'admin/findings/*/refund': async (s) => ({
    view: `/findings?orderId=${await finding(s)}`,
    fill: (page) => button(page, /^Give back .*: finding/).click(),
    button: /Give back EUR 12.34$/,
    typed: 'EUR 12.34',
    done: /In hand: refunding/,
  }),
  'admin/dead-letters/replay': async (s) => {
    const id = await letter(s);
    return {
      view: '/dead-letters',
      fill: (page) => button(page, `Replay letter ${id}`).click(),
      button: /Replay 1 letter$/,
      done: /Of 1 letter:/,
    };
  },
  'admin/dead-letters/*/discard': async (s) => {
    const id = await letter(s);
    return {
      view: '/dead-letters',
      fill: (page) => button(page, `Discard letter ${id}`).click(),
      button: /Discard 1 letter$/,
      done: /Of 1 letter: 1 discarded/,
      isPatient: true,
    };
  },
  'admin/operations/preview': async (s) => {
    const id = await letter(s);
    return {
      view: '/operations?action=discard',
      fill: (page) => page.getByLabel('Ids of dead letters').fill(id),
      button: /^Preview$/,
      done: /Nothing has been decided yet/,
    };
  },
  'admin/operations': async (s) => ({
    view: `/operations/${await preview(s, 'discard')}`,
    fill: async (page) => {
      await page.getByLabel('Canary').fill('1');
      await page.getByLabel('so many a second').fill('3');
      await button(page, 'Discard 1 dead letter …').click();
    },
    button: /Discard 1 dead letter$/,
    done: /How far it is/,
  }),
  'admin/operations/*/*': async (s) => {
    const id = await preview(s, 'replay');
    const starting = { preview: id, expectedCount: 1, reason: 'ticket 1', canary: [], ratePerSecond: 0.1 };
    await s.api.send('POST', '/admin/operations', starting);
    return {
      view: `/operations/${id}`,
      fill: (page) => button(page, 'Abort …').click(),
      button: /Abort it$/,
      done: /Aborted/,
    };
  },
  'admin/sagas/*/resolve': async (s) => ({
    view: `/orders/${await parked(s)}`,
    fill: (page) => button(page, 'Retry chargePayment …').click(),
    button: /Retry chargePayment$/,
    done: /It worked: the order is CONFIRMED/,
  }),
  'orders/*/cancel': async (s) => {
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
    fill: (page) => page.getByLabel('Of the SKU', { exact: true }).fill('NOBODYS'),
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
export const NOT_FORMS = ['demo/*'];

async function finding(s: ConsoleStack): Promise<string> {
  const { id } = await accept(s.db, { KEYBOARD: 1 });
  const charge = { reference: `pi_${id}`, orderId: id, amount: 1_234, currency: 'EUR' };
  await openFinding(s.db, 'DOUBLE_CHARGE', 'reported', charge);
  return id;
}

async function letter(s: ConsoleStack): Promise<string> {
  const { id: orderId } = await accept(s.db, { KEYBOARD: 1 });
  const event = { destination: 'webhook', orderId, sequence: 1, type: 'order.accepted', cause: 'rejected' };
  const { id } = await s.db.deadLetter.create({ data: { ...event, error: 'it answered 422', attempts: 3 } });
  return `${id}`;
}

async function preview(s: ConsoleStack, action: string): Promise<string> {
  const asked = { action, deadLetterIds: [await letter(s)] };
  return (await s.api.send<{ id: string }>('POST', '/admin/operations/preview', asked)).body.id;
}

async function parked(s: ConsoleStack): Promise<string> {
  await s.fault({ route: 'charge', mode: 'down' });
  const { order } = await s.place({ KEYBOARD: 1 }, { policy: SHORT });
  await eventually('it is parked', async () => {
    const { body } = await s.api.get<{ sagas: { orderId: string }[] }>('/admin/sagas');
    return body.sagas?.some(({ orderId }) => orderId === order.id);
  });
  await s.heal();
  return order.id;
}
