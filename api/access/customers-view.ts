/**
 * What customers read of an order beside what they have ordered: words of a closed list instead of what our neighbours say, no
 * address of ours, no operator's name. Every other role reads all of it: those are programs and people of the shop.
 */
import { type TSchema, Type } from 'typebox';
import type { StoredEvent } from '../../contracts/events.js';
import type { SagaProgress, StepProgress } from '../../contracts/saga.js';
import { type Caller, confinedTo } from './permissions.js';

/** Why a step's last try failed, as far as it is the customer's business. */
export const CUSTOMERS_ERRORS = ['REFUSED', 'TRYING_AGAIN', 'NEEDS_ATTENTION'] as const;
type CustomersError = (typeof CUSTOMERS_ERRORS)[number];

export const LastErrorSchema: TSchema = Type.Union([
  Type.Unsafe<CustomersError>({
    type: 'string',
    enum: CUSTOMERS_ERRORS,
    description:
      'For the role `customer`: the step’s final no, whose reason is the order’s; or a failure that time mends, or that the shop has to look at',
  }),
  Type.String({ description: 'For every other role: what the last try met' }),
  Type.Null(),
]);

/** Who vouches for a step, to a customer: events are valid with it. */
const SOMEBODY = 'operator';

const isCustomer = (caller: Caller): boolean => confinedTo(caller, 'read') !== undefined;

export const sagaFor = <S extends SagaProgress & { webUrl: string | null }>(caller: Caller, saga: S): S =>
  isCustomer(caller) ? { ...saga, webUrl: null, steps: saga.steps.map(stepForCustomer) } : saga;

const stepForCustomer = (step: StepProgress): StepProgress =>
  step.lastError === null ? step : { ...step, lastError: customersErrorOf(step) };

function customersErrorOf({ status }: StepProgress): CustomersError {
  if (status === 'refused') return 'REFUSED';
  return status === 'parked' ? 'NEEDS_ATTENTION' : 'TRYING_AGAIN';
}

/** @returns what the caller reads of an event */
export const eventFor =
  (caller: Caller) =>
  <E extends StoredEvent>(event: E): E => {
    const data = event.data as Record<string, unknown>;
    if (!isCustomer(caller)) return event;
    if ('customerReference' in data) return { ...event, data: withoutReference(data) };
    return 'skippedBy' in data ? { ...event, data: { ...data, skippedBy: SOMEBODY } } : event;
  };

function withoutReference<T extends { customerReference?: unknown }>({ customerReference: _, ...rest }: T) {
  return rest;
}
