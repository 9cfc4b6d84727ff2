/** Stories: which events an order may have told, where an operator's word is among them. */
import { expect, test } from '@jest/globals';
import { legalStories } from '../../verification/stories.js';

const CANCELLED = { status: 'CANCELLED' as const, isRefundedByOthers: false };
const BEFORE_ANY_STEP = ['order.created', 'payment.refunded', 'order.cancelled'];

test('an undo that an operator has vouched for is told, though its step never began', () => {
  expect(legalStories({ ...CANCELLED, byHand: new Set(['payment.refunded']) })).toContainEqual(BEFORE_ANY_STEP);
  const both = new Set(['payment.refunded', 'inventory.released']);
  expect(legalStories({ ...CANCELLED, byHand: both })).toContainEqual([
    'order.created',
    'payment.refunded',
    'inventory.released',
    'order.cancelled',
  ]);
});

test('by itself no saga takes back what it has not begun', () => {
  expect(legalStories({ ...CANCELLED, byHand: new Set() })).not.toContainEqual(BEFORE_ANY_STEP);
});
