/** What customers read of a saga, its events and its refusals: nothing of the insides of the shop, and no operator's name. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { CUSTOMERS_ERRORS } from '../../api/access/customers-view.js';
import type { CloudEvent } from '../../contracts/events.js';
import type { SagaProgress } from '../../contracts/saga.js';
import { AWAY, type Answer, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

type Saga = SagaProgress & { webUrl: string | null };
const OPERATOR = 'op_jane';

let s: SagaStack;
let api: TestApi;
let issuer: TokenIssuer;
beforeAll(async () => {
  [s, issuer] = await Promise.all([startSagaStack(), startTokenIssuer()]);
  api = await startTestApi({
    db: s.db,
    databaseUrl: s.databaseUrl,
    temporalUiUrl: 'http://temporal-ui.internal:8233',
    temporal: { ...AWAY, client: () => s.client },
    policy: { ...PATIENT, stepRetryBudgetMs: 1_200 },
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await stock(s.db, 'KEYBOARD', 1_000);
  await stock(s.db, 'NONE', 0);
});
afterEach(() => s.heal());
afterAll(async () => {
  await Promise.all([api.stop(), issuer.stop()]);
  await s.stop();
});

const as = async (subject: string, ...roles: string[]) => ({ authorization: await issuer.token({ subject, roles }) });
const CUSTOMER = 'cus_42';
const sagaOf = async (id: string, headers: Record<string, string>) =>
  (await api.get<Saga>(`/orders/${id}/saga`, headers)).body;
const errorsOf = ({ steps }: Saga) => steps.map(({ lastError }) => lastError).filter((each) => each !== null);

test('a customer reads words of the documented list and no address of ours; an operator reads what happened', async () => {
  const customer = await as(CUSTOMER, 'customer');
  const operator = await as(OPERATOR, 'operator');
  await s.fault({ route: 'all', mode: 'down' });
  const { body: order } = await api.place({}, customer);
  await eventually('the saga is parked', async () => (await sagaOf(order.id, operator)).state === 'NEEDS_ATTENTION');
  const seen = await sagaOf(order.id, operator);
  expect(seen.webUrl).toContain('temporal-ui.internal');
  expect(errorsOf(seen)).toEqual([expect.stringContaining('payment gateway')]);
  const shown = await sagaOf(order.id, customer);
  expect(shown).toMatchObject({ state: 'NEEDS_ATTENTION', webUrl: null });
  expect(errorsOf(shown)).toEqual(['NEEDS_ATTENTION']);

  const { body: document } = await api.get<{ components: { schemas: Record<string, unknown> } }>('/openapi.json');
  expect(JSON.stringify(document.components.schemas['Saga'])).toContain(JSON.stringify(CUSTOMERS_ERRORS));

  // The step is skipped: who vouches for it is for operators and for whoever consumes events.
  const decision = { action: 'skip', reason: 'charged by hand' };
  await api.send('POST', `/admin/sagas/${order.id}/resolve`, decision, operator);
  const events = async (path: string, headers: Record<string, string>) =>
    (await api.get<{ events: CloudEvent[] }>(path, headers)).body.events.filter(({ subject }) => subject === order.id);
  const path = `/orders/${order.id}/events`;
  await eventually('the order is confirmed', async () =>
    (await events(path, operator)).some(({ type }) => type === 'order.confirmed'),
  );
  const skippers = (of: CloudEvent[]) =>
    of.map(({ data }) => (data as { skippedBy?: string }).skippedBy).filter(Boolean);
  expect(skippers(await events(path, operator))).toEqual([OPERATOR]);
  // The feed tells an event once no older transaction is open that might still write one before it.
  const service = await as('svc', 'service');
  const fed = await eventually('the feed has told it', async () => {
    const found = await events('/events', service);
    return found.some(({ type }) => type === 'order.confirmed') && found;
  });
  expect(skippers(fed)).toEqual([OPERATOR]);
  expect(skippers(await events(path, customer))).toEqual(['operator']);
  const stream = await api.stream(path, customer);
  const streamed = await eventually('the stream has told it', () => {
    const text = JSON.stringify(stream.events);
    return text.includes('order.confirmed') && text;
  });
  stream.close();
  expect(streamed).not.toContain(OPERATOR);

  // No answer that a customer can have of this order names whoever decided.
  const answers: Answer<unknown>[] = await Promise.all([
    ...['', '/saga', '/events'].map((part) => api.get(`/orders/${order.id}${part}`, customer)),
    api.get('/orders', customer),
    api.send('POST', `/orders/${order.id}/cancel`, { reason: 'changed my mind' }, customer),
  ]);
  for (const { text, headers } of answers)
    expect(`${text}${JSON.stringify([...headers])}`).not.toMatch(/op_jane|charged by hand|internal|payment gateway/);
}, 60_000);

test('a refused step says so to its customer', async () => {
  const customer = await as(CUSTOMER, 'customer');
  const { body: order } = await api.place(
    { items: [{ sku: 'NONE', quantity: 1 }] },
    { ...customer, prefer: 'wait=25' },
  );
  const { steps } = await sagaOf(order.id, customer);
  for (const { status, lastError } of steps)
    expect(lastError === null || (status === 'refused' && lastError === 'REFUSED')).toBe(true);
});
