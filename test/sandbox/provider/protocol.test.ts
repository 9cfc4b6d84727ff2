import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Stripe from 'stripe';
import { cleanUp, clientFor, errorOf, order, type Running, startSandbox } from '../support.js';

let sandbox: Running;
beforeEach(async () => {
  sandbox = await startSandbox();
});
afterEach(cleanUp);

const portOf = () => Number(new URL(sandbox.url).port);

async function post(path: string, body: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${sandbox.url}${path}`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk_test_1', 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body,
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as { error?: { [name: string]: string } },
  };
}
const create = (body: string, headers?: Record<string, string>) => post('/v1/payment_intents', body, headers);

describe('keys', () => {
  it('opens the same ledger to any test key, as a bearer or as a basic user', async () => {
    const { id } = await sandbox.stripe.paymentIntents.create(order('o1'));
    expect((await clientFor(portOf(), { apiKey: 'sk_test_other' }).paymentIntents.retrieve(id)).id).toBe(id);
    const authorization = `Basic ${Buffer.from('sk_test_x:').toString('base64')}`;
    expect((await fetch(`${sandbox.url}/v1/payment_intents/${id}`, { headers: { authorization } })).status).toBe(200);
  });

  it.each(['sk_live_1', 'nonsense'])('refuses %s without repeating it', async (apiKey) => {
    const error = await errorOf(clientFor(portOf(), { apiKey }).paymentIntents.list());
    expect(error).toBeInstanceOf(Stripe.errors.StripeAuthenticationError);
    expect(error.message).not.toContain(apiKey);
    expect((await fetch(`${sandbox.url}/v1/payment_intents`)).status).toBe(401);
  });
});

describe('what it does not understand', () => {
  it.each([
    ['currency=usd', 'parameter_missing', 'amount'],
    ['amount=500', 'parameter_missing', 'currency'],
    ['amount=1.5&currency=usd', 'parameter_invalid_integer', 'amount'],
    ['amount=0&currency=usd', 'parameter_invalid_integer', 'amount'],
    ['amount=-1&currency=usd', 'parameter_invalid_integer', 'amount'],
    ['amount=100000000&currency=usd', 'amount_too_large', 'amount'],
    ['amount=500&currency=USD', undefined, 'currency'],
    ['amount=500&currency=usd&colour=red', 'parameter_unknown', 'colour'],
    ['amount=500&currency=usd&confirm=yes', undefined, 'confirm'],
    ['amount=500&currency=usd&metadata=x', undefined, 'metadata'],
    ['amount=500&currency=usd&metadata[a][b]=x', undefined, 'metadata[a]'],
    [`amount=500&currency=usd&metadata[a]=${'x'.repeat(501)}`, undefined, 'metadata[a]'],
    [
      `amount=500&currency=usd${Array.from({ length: 51 }, (_, n) => `&metadata[k${n}]=v`).join('')}`,
      undefined,
      'metadata',
    ],
    ['amount=500&currency=usd&amount[x]=1', undefined, undefined],
    ['amount=500&currency=usd&a[[b]=1', undefined, undefined],
    ['amount=500&currency=usd&a[b][c][d][e][f]=1', undefined, undefined],
    ['amount=500&currency=usd&expand[]=customer', undefined, 'expand'],
    ['amount=500&currency=usd&capture_method=manual', undefined, 'capture_method'],
  ])('%# is refused in the provider’s shape', async (body, code, param) => {
    const answer = await create(body);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toMatchObject({ type: 'invalid_request_error', message: expect.any(String) });
    expect(answer.body.error?.['code']).toBe(code);
    expect(answer.body.error?.['param']).toBe(param);
    expect(answer.headers.get('request-id')).toMatch(/^req_/);
  });

  it('refuses other content types, large bodies and unknown addresses', async () => {
    expect((await create('{"amount":5}', { 'content-type': 'application/json' })).status).toBe(400);
    expect((await create(`description=${'x'.repeat(70_000)}`)).status).toBe(413);
    const unknown = await post('/v1/invoices', '');
    expect(unknown).toMatchObject({ status: 404, body: { error: { type: 'invalid_request_error' } } });
  });

  it('refuses a key longer than 255 characters', async () => {
    expect((await create('amount=500&currency=usd', { 'idempotency-key': 'x'.repeat(256) })).status).toBe(400);
    expect((await create('amount=500&currency=usd', { 'idempotency-key': 'x'.repeat(255) })).status).toBe(200);
  });
});

it('takes names that mean something to JavaScript for mere names', async () => {
  const answer = await create(
    'amount=500&currency=usd&metadata[__proto__]=x&metadata[constructor]=y&payment_method_types[]=card',
  );
  expect(answer.status).toBe(200);
  expect(JSON.stringify(answer.body)).toContain('"metadata":{"__proto__":"x","constructor":"y"}');
});

it('says what it is and which cards it knows', async () => {
  const welcome = (await (await fetch(sandbox.url)).json()) as { cards: Record<string, string> };
  expect(Object.keys(welcome.cards)).toEqual(expect.arrayContaining(['pm_card_visa', 'pm_sandbox_unavailable']));
  expect((await fetch(`${sandbox.url}/livez`)).status).toBe(200);
});
