/** Tells the slots of this process how the sagas of its worker get on: which are at work, and which give their slot back. */
import { ApplicationFailure } from '@temporalio/common';
import { STEPS, type StepName, UNDOS, type UndoName } from '../contracts/plan.js';
import { REFUSAL } from '../contracts/refusals.js';
import type { SagaActivities, StepInput, StepResult, UndoResult } from '../contracts/steps.js';
import type { PaymentGateway } from '../gateways/payments.js';
import type { SagaSlots } from '../sagas/slots.js';

/** The same gateway; a saga that waits for its answer lets another work. */
export function pausingSlots<G extends PaymentGateway>(gateway: G, slots: SagaSlots): G {
  const away = async <T>(orderId: string, ask: () => Promise<T>): Promise<T> => {
    slots.pause(orderId);
    try {
      return await ask();
    } finally {
      slots.resume(orderId);
    }
  };
  return {
    ...gateway,
    charge: (request) => away(request.due.orderId, () => gateway.charge(request)),
    settleOpenCharges: (lookUp) => away(lookUp.due.orderId, () => gateway.settleOpenCharges(lookUp)),
    refund: (request) => away(request.due.orderId, () => gateway.refund(request)),
  };
}

/** The same activities; a saga whose order is final, or whose step is to be tried again later, gives its slot back. */
export function releasingSlots(activities: SagaActivities, slots: SagaSlots): SagaActivities {
  const all = [...STEPS, ...UNDOS].map((name) => [
    name,
    async (input: StepInput): Promise<StepResult | UndoResult> => {
      try {
        const result = await activities[name](input);
        if (isLast(name, result)) slots.release(input.orderId);
        return result;
      } catch (err) {
        if (!isRefusal(err)) slots.release(input.orderId); // which the saga's undos follow at once
        throw err;
      }
    },
  ]);
  return { ...activities, ...Object.fromEntries(all) };
}

/** Whether the order is CONFIRMED or CANCELLED by it. */
const isLast = (name: StepName | UndoName, result: StepResult | UndoResult): boolean =>
  name === 'confirmOrder' || name === 'cancelOrder' || ('confirmed' in result && result.confirmed === true);

const isRefusal = (err: unknown): boolean => err instanceof ApplicationFailure && err.type === REFUSAL;
