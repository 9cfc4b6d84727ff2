/** The workflows of the yardsticks: one that does nothing, and the saga as a textbook has it. */
import { proxyActivities } from '@temporalio/workflow';
import type { TextbookActivities } from './textbook.js';

export async function EmptyWorkflow(): Promise<void> {}

const { createOrder, reserveInventory, chargePayment, confirmOrder, cancelOrder, releaseInventory, refundPayment } =
  proxyActivities<TextbookActivities>({ startToCloseTimeout: '10s' });

export async function TextbookSaga(orderId: string, sku: string): Promise<string> {
  const undos: (() => Promise<void>)[] = [];
  try {
    await createOrder(orderId, sku);
    undos.unshift(() => cancelOrder(orderId));
    await reserveInventory(orderId, sku);
    undos.unshift(() => releaseInventory(orderId, sku));
    await chargePayment(orderId);
    undos.unshift(() => refundPayment(orderId));
    await confirmOrder(orderId);
    return 'CONFIRMED';
  } catch (err) {
    for (const undo of undos) await undo();
    throw err;
  }
}
