/** By what Temporal knows a customer's sagas: the reference, and nothing that a client has chosen. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CUSTOMER_ID } from '../../contracts/saga.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 10);
}, 60_000);
afterAll(() => s.stop());

test('a saga is listed by its customer’s reference, and its history says nothing of the client’s id', async () => {
  const { order, saga, result } = await s.place({ A: 1 });
  await result();
  const { typedSearchAttributes } = await saga.describe();
  expect(typedSearchAttributes.get(CUSTOMER_ID)).toBe(order.customer);
  expect(order.customer).not.toBe(order.customerId);
  await eventually('it is listed', async () => {
    for await (const { workflowId } of s.client.workflow.list({ query: `CustomerId="${order.customer}"` }))
      if (workflowId === saga.workflowId) return true;
    return false;
  });
  expect(JSON.stringify(await saga.fetchHistory())).not.toContain(order.customerId);
});
