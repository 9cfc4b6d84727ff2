/**
 * Customers: `/v1/customers`. An object of the account's own that is no payment: nothing here moves money, and a charge
 * does not ask for one.
 */
import type { FastifyInstance } from 'fastify';
import type { Ledger } from '../ledger/ledger.js';
import { type Customer, newId } from '../ledger/records.js';
import { runOf } from '../ledger/record-list.js';
import { noSuch } from '../protocol/errors.js';
import type { Form } from '../protocol/form.js';
import { expands, listOf, PAGE_PARAMS, readQuery } from '../protocol/lists.js';
import { metadata, refuseUnknown, text } from '../protocol/params.js';
import type { Plan, Posts } from '../protocol/posts.js';
import { renderCustomer } from '../protocol/render.js';

export const CUSTOMERS = '/v1/customers';
const TEXTS = ['name', 'email', 'phone', 'description'] as const;
const PARAMS = [...TEXTS, 'metadata', 'expand'];

type Body = { Body: Form };
type ById = { Params: { id: string }; Body: Form };

export function customerRoutes(app: FastifyInstance, { ledger, posts }: { ledger: Ledger; posts: Posts }): void {
  app.post<Body>(CUSTOMERS, (request, reply) => posts.answer(request, reply, (form) => planCreate(ledger, form)));
  app.post<ById>(`${CUSTOMERS}/:id`, (request, reply) =>
    posts.answer(request, reply, (form) => planUpdate(ledger, request.params.id, form)),
  );
  app.delete<ById>(`${CUSTOMERS}/:id`, (request, reply) =>
    posts.answer(request, reply, () => planDelete(ledger, request.params.id)),
  );

  app.get(CUSTOMERS, async (request) => {
    const query = readQuery(request, [...PAGE_PARAMS, 'email']);
    expands(query, '');
    const email = text(query, 'email');
    await ledger.durable();
    const found = ledger.facts.customers.items.filter(
      (customer) => !customer.deleted && (email === undefined || customer.email === email),
    );
    return listOf(runOf(found), query, { url: CUSTOMERS, noun: 'customer', render: renderCustomer });
  });
  app.get<ById>(`${CUSTOMERS}/:id`, async (request) => {
    expands(readQuery(request, ['expand']), '');
    await ledger.durable();
    const customer = ledger.facts.customers.get(request.params.id);
    if (!customer) throw noSuch('customer', request.params.id, 'id');
    return renderCustomer(customer);
  });
}

function planCreate(ledger: Ledger, form: Form): Plan {
  const details = { ...textsOf(form), metadata: metadata(form) };
  return {
    route: 'customer',
    execute: () => ({ status: 200, customer: { id: newId('cus'), at: ledger.now(), ...details } }),
  };
}

function planUpdate(ledger: Ledger, id: string, form: Form): Plan {
  const texts = textsOf(form);
  findCustomer(ledger, id);
  return {
    route: 'customer',
    execute: () => {
      // Again, and merged here: of two updates that wait for each other neither may undo the other's keys.
      const customer = findCustomer(ledger, id);
      return { status: 200, customer: { ...customer, ...texts, metadata: metadata(form, customer.metadata) } };
    },
  };
}

function planDelete(ledger: Ledger, id: string): Plan {
  findCustomer(ledger, id);
  return {
    route: 'customer',
    execute: () => ({ status: 200, customer: { ...findCustomer(ledger, id), deleted: true } }),
  };
}

/** One that was deleted can still be retrieved, as `deleted`, but no longer changed. */
function findCustomer(ledger: Ledger, id: string): Customer {
  const customer = ledger.facts.customers.get(id);
  if (!customer || customer.deleted) throw noSuch('customer', id, 'id');
  return customer;
}

function textsOf(form: Form): Partial<Pick<Customer, (typeof TEXTS)[number]>> {
  refuseUnknown(form, PARAMS);
  expands(form, '');
  return Object.fromEntries(
    TEXTS.flatMap((name) => {
      const value = text(form, name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
