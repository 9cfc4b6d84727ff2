/** A stranger's number: what a Retry-After can make us do, at the gateway and at a webhook's receiver. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { toCloudEvent } from '../../contracts/events.js';
import { retryAfterMs } from '../../contracts/retry-after.js';
import type { GatewayUnknown } from '../../gateways/payments.js';
import { createWebhookPublisher } from '../../relay/publishers/webhook.js';
import { charge, failureOf, refund, unwind } from '../activities/undo.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { type TestLedgers, openLedgers } from '../reconciliation/support.js';

let b: TestLedgers;
let receiver: Receiver;
beforeAll(async () => {
  [b, receiver] = await Promise.all([openLedgers(), startReceiver()]);
});
afterEach(() => b.heal());
afterAll(() => Promise.all([b.stop(), receiver.stop()]));

/** What is said, and how long an undo then waits; undefined = as long as it would have by itself. */
const SAID: [string, number | undefined][] = [
  ['5', 5_000],
  ['60', 60_000],
  ['61', 60_000],
  ['86400', 60_000],
  ['9999999999', 60_000],
  ['99999999999999999999', undefined],
  ['0', undefined],
  ['-1', undefined],
  ['+5', undefined],
  ['1.5', undefined],
  ['1e400', undefined],
  ['1e1', undefined],
  ['0x10', undefined],
  ['Infinity', undefined],
  ['NaN', undefined],
  ['', undefined],
  ['5, 6', undefined],
  ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
  ['2026-12-01', undefined],
];

describe.each(SAID)('Retry-After: %j', (said, undoMs) => {
  const stepMs = undoMs === undefined ? undefined : Math.min(undoMs, 15_000);

  test('makes a step wait no longer than it would by itself, and an undo neither', async () => {
    const [step, undone] = [await b.pending(), await b.confirmed()];
    await unwind(b, undone.order.id);
    await b.fault({ mode: 'busy', retryAfter: said });
    const charging = await failureOf(charge(b, step.id));
    const refunding = await failureOf(refund(b, undone.order.id));
    expect([charging.failure.type, refunding.failure.type]).toEqual(['GatewayUnknown', 'GatewayUnknown']);
    expect(charging.failure.nextRetryDelay).toBe(stepMs);
    expect(refunding.failure.nextRetryDelay).toBe(undoMs);
  });

  test('makes reading wait no longer, whatever is read', async () => {
    await b.fault({ mode: 'down', retryAfter: said });
    const since = new Date(0);
    const reading = [
      b.gateway.listCharges({ since }),
      b.gateway.listRefunds({ since }),
      b.gateway.findCharges(randomUUID()),
      b.gateway.readMarker('cus_1'),
      b.gateway.findMarker('shop'),
    ];
    for (const asked of reading) {
      const err = (await asked.catch((reason: unknown) => reason)) as GatewayUnknown;
      expect([err.name, err.retryAfterMs]).toEqual(['GatewayUnknown', undoMs]);
    }
  });

  test('makes a webhook wait no longer', async () => {
    receiver.answer = () => 503;
    receiver.headers = { 'retry-after': said };
    const publisher = createWebhookPublisher({ url: receiver.url, secret: receiver.secret, allowPrivate: true });
    const [outcome] = await publisher.publish([EVENT]);
    await publisher.close();
    expect(outcome).toMatchObject({ outcome: 'unavailable', ...(undoMs !== undefined && { retryAfterMs: undoMs }) });
    if (undoMs === undefined) expect(outcome).not.toHaveProperty('retryAfterMs');
  });
});

const EVENT = toCloudEvent({
  orderId: 'o',
  sequence: 1,
  type: 'order.confirmed',
  data: { orderId: 'o' },
  correlationId: 'c',
  traceparent: null,
  occurredAt: new Date(0),
});

test.each([undefined, null, 5, ['5'], '5 ', ' 5', '５', '٥', '5\n', '5\u0000', {}])(
  'what no header can be is not understood, and nothing throws: %j',
  (header) => {
    expect(retryAfterMs(header, 60_000)).toBeUndefined();
  },
);
