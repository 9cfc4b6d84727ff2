/** How many sagas may be begun: no more than are allowed to work, and a saga that waits, ends or takes long holds up no other. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createSagaSlots, type SagaSlots, type SlotLimits } from '../../sagas/slots.js';
import { eventually } from '../support/conditions.js';

const LONG_MS = 60_000;
const limits: SlotLimits = { atWorkMax: 2, heldMax: 4, atWorkLimitMs: LONG_MS, heldLimitMs: LONG_MS };
let slots: SagaSlots;
/** Orders that wait for a slot, and those that were given one, in that order. */
let queue: string[];
let begun: string[];
beforeEach(() => use(limits));
afterEach(() => void jest.useRealTimers());

function use(chosen: SlotLimits): void {
  slots = createSagaSlots(chosen);
  queue = Array.from({ length: 20 }, (_, n) => `order-${n}`);
  begun = [];
  slots.onFree(begin);
}
function begin(): void {
  while (slots.isFree()) {
    const next = queue.shift();
    if (next === undefined) return;
    begun.push(next);
    slots.take(next);
  }
}

describe('of twenty orders', () => {
  test('as many are begun as may be at work, and the next one whenever one of them has ended', () => {
    begin();
    expect(begun).toEqual(['order-0', 'order-1']);
    slots.release('order-1');
    expect(begun).toEqual(['order-0', 'order-1', 'order-2']);
    expect(slots.atWork()).toBe(2);
  });

  test('another is begun while one waits for a neighbour, up to the worker’s room', () => {
    begin();
    for (let n = 0; n < 10; n++) slots.pause(`order-${n}`);
    expect(begun).toHaveLength(4);
    expect(slots.atWork()).toBe(0);
    slots.release('order-0');
    expect(begun).toHaveLength(5);
  });

  test('none is begun when a neighbour has answered so many that more are at work than may be', () => {
    begin();
    slots.pause('order-0');
    slots.pause('order-1');
    for (const n of [0, 1]) slots.resume(`order-${n}`);
    expect(slots.atWork()).toBe(4);
    slots.release('order-2');
    slots.release('order-3');
    expect(begun).toHaveLength(4); // two are at work
    slots.release('order-0');
    expect(begun).toHaveLength(5);
  });

  test('all are begun in time, even if none of them ever ends', async () => {
    use({ ...limits, atWorkLimitMs: 5, heldLimitMs: 20 });
    begin();
    expect(begun).toHaveLength(2);
    await eventually('all are begun', () => begun.length === 20);
  });
});

test('a saga that never ends has another begun after a second, and leaves the worker’s room after five', () => {
  jest.useFakeTimers();
  use({ atWorkMax: 1, heldMax: 2 });
  begin();
  expect(begun).toEqual(['order-0']);
  jest.advanceTimersByTime(1_000);
  expect(begun).toEqual(['order-0', 'order-1']);
  jest.advanceTimersByTime(3_999);
  expect(begun).toHaveLength(2);
  jest.advanceTimersByTime(1);
  expect(begun).toEqual(['order-0', 'order-1', 'order-2']);
});

test('a saga that was at work for too long no longer counts when a neighbour answers it', async () => {
  use({ ...limits, atWorkLimitMs: 5 });
  queue = ['order-0'];
  begin();
  slots.pause('order-0');
  await eventually('its time is up', () => {
    slots.resume('order-0');
    return slots.atWork() === 0;
  });
  slots.resume('order-0');
  expect(slots.atWork()).toBe(0);
});

test('what is said of an order without a slot changes nothing', () => {
  begin();
  slots.release('order-0');
  for (const say of [slots.release, slots.pause, slots.resume]) say('order-0');
  slots.pause('order-1');
  slots.pause('order-1');
  slots.resume('stranger');
  slots.resume('order-1');
  slots.resume('order-1');
  slots.release('order-2');
  slots.release('order-3');
  expect(slots.atWork()).toBe(begun.length - 3);
});

test('the second saga of an order takes the first one’s place', () => {
  slots.take('order-0');
  slots.take('order-0');
  expect(slots.atWork()).toBe(1);
});
