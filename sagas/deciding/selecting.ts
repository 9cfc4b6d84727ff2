/** What an operation is to be about: stuck sagas, orders or dead letters, as they stand now, each with why it is not acted on if it is not. */
import type { Client } from '@temporalio/client';
import type { DeadLetter } from '../../contracts/dead-letters.js';
import {
  ITEM_STATES,
  type ItemState,
  LETTER_ACTIONS,
  OPERATION_ITEMS_MAX,
  type OperationAction,
  type OperationSelection,
} from '../../contracts/operations.js';
import type { SagaPolicy } from '../../contracts/saga.js';
import type { Database } from '../../domain/database.js';
import { type DeadLetterFilter, listDeadLetters, readDeadLetters } from '../../domain/dead-letters.js';
import { listSubjects } from '../../domain/operations/listing.js';
import {
  type Candidate,
  findInOperation,
  type OrderToDecide,
  readOrdersToDecide,
} from '../../domain/operations/preview.js';
import { isOfCause, type StuckSaga } from '../../domain/stuck-sagas.js';
import { findInState, findStuck } from '../stuck.js';
import { sagaInCharge } from './asking.js';

export type Asked =
  | { orderIds: string[] }
  | { sagas: { state?: 'NEEDS_ATTENTION' | 'COMPENSATING'; step?: string; failure?: string }; atMost?: number }
  | { deadLetterIds: string[] }
  | { deadLetters: Pick<DeadLetterFilter, 'destination' | 'cause' | 'type'>; atMost?: number }
  | { items: { operation: string; states: ItemState[] } };

export type Selected =
  | { outcome: 'selected'; selection: OperationSelection; candidates: Candidate[] }
  | { outcome: 'nothing' }
  /** `more`: there are more than can be counted. */
  | { outcome: 'too-many'; count: number; more: boolean }
  | { outcome: 'unknown'; ids: string[] };

export type Selecting = {
  db: Database;
  /** Asked only for what is about sagas. */
  client: () => Client;
  policy: SagaPolicy;
};

/** As the list of stuck sagas sees them all. */
const WAITING_MAX = 10_000;
/** Ten thousand stuck sagas are listed in a second; a person waits for them. */
const LIST_LIMIT_MS = 20_000;

export const isOfLetters = (action: OperationAction): action is (typeof LETTER_ACTIONS)[number] =>
  (LETTER_ACTIONS as readonly OperationAction[]).includes(action);

export async function select(to: Selecting, action: OperationAction, asked: Asked): Promise<Selected> {
  if ('items' in asked) return selectItems(to, action, asked.items);
  if ('orderIds' in asked) {
    const orderIds = once(asked.orderIds);
    return selectOrders(to, action, orderIds, { orderIds: orderIds.length });
  }
  if ('sagas' in asked) return selectSagas(to, action, asked);
  if ('deadLetterIds' in asked)
    return selectLetters(to, action, asked.deadLetterIds, { deadLetterIds: asked.deadLetterIds.length });
  const { deadLetters, atMost } = asked;
  const letters = await listDeadLetters(to.db, { ...deadLetters, state: 'PARKED' }, OPERATION_ITEMS_MAX + 1);
  return within(letters, atMost, letters.length > OPERATION_ITEMS_MAX, (chosen) => ({
    selection: { ...deadLetters, ...(atMost !== undefined && { atMost }) },
    candidates: chosen.map((letter) => candidateOfLetter(letter, action)),
  }));
}

/** One order has one item, however its id is written, and however often: UUIDs are one in both cases. */
const once = (ids: string[]): string[] => [...new Set(ids.map((id) => id.toLowerCase()))];

type Chosen = { selection: OperationSelection; candidates: Candidate[] };

async function within<T>(
  found: T[],
  atMost: number | undefined,
  more: boolean,
  choose: (chosen: T[]) => Chosen | Promise<Chosen>,
): Promise<Selected> {
  if (found.length === 0) return { outcome: 'nothing' };
  if (atMost === undefined && (more || found.length > OPERATION_ITEMS_MAX))
    return { outcome: 'too-many', count: found.length, more };
  return { outcome: 'selected', ...(await choose(found.slice(0, Math.min(atMost ?? Infinity, OPERATION_ITEMS_MAX)))) };
}

const inTime = <T>(client: Client, ask: (client: Client) => Promise<T>): Promise<T> =>
  client.withDeadline(Date.now() + LIST_LIMIT_MS, () => ask(client));

async function selectSagas(
  { db, client, policy }: Selecting,
  action: OperationAction,
  { sagas: { state = 'NEEDS_ATTENTION', step, failure }, atMost }: Extract<Asked, { sagas: object }>,
): Promise<Selected> {
  const { sagas, more } = await inTime(client(), (temporal) =>
    state === 'NEEDS_ATTENTION' ? findStuck(db, temporal, policy, WAITING_MAX) : findInState(db, temporal, state),
  );
  const matching = sagas.filter((saga) => isOfCause(saga, { step, failure }));
  return within(matching, atMost, more, async (chosen) => {
    const orderIds = chosen.map(({ orderId }) => orderId);
    const seen = new Map(chosen.map((saga) => [saga.orderId, saga]));
    const orders = await readOrdersToDecide(db, orderIds);
    const given = {
      ...(step !== undefined && { step }),
      ...(failure !== undefined && { failure }),
      ...(atMost !== undefined && { atMost }),
    };
    return { selection: { state, ...given }, candidates: await candidatesOf(db, orders, action, seen) };
  });
}

async function selectOrders(
  { db, client, policy }: Selecting,
  action: OperationAction,
  orderIds: string[],
  selection: OperationSelection,
): Promise<Selected> {
  const orders = await readOrdersToDecide(db, orderIds);
  const known = new Set(orders.map(({ orderId }) => orderId));
  const unknown = orderIds.filter((id) => !known.has(id));
  if (unknown.length > 0) return { outcome: 'unknown', ids: unknown };
  if (orders.length === 0) return { outcome: 'nothing' };
  const { sagas } = await inTime(client(), (temporal) => findStuck(db, temporal, policy, WAITING_MAX));
  const seen = new Map(sagas.map((saga) => [saga.orderId, saga]));
  return { outcome: 'selected', selection, candidates: await candidatesOf(db, orders, action, seen) };
}

async function candidatesOf(
  db: Database,
  orders: OrderToDecide[],
  action: OperationAction,
  stuck: ReadonlyMap<string, StuckSaga>,
): Promise<Candidate[]> {
  const inOperation = await findInOperation(
    db,
    orders.map(({ orderId }) => orderId),
  );
  return orders.map((order) => {
    const { orderId, total, isTakingBack } = order;
    const saga = stuck.get(orderId);
    const not =
      whyNot(order, action) ??
      (inOperation.has(orderId) ? IN_OPERATION : undefined) ??
      (action === 'skip' && !saga?.step ? AT_NO_STEP : undefined);
    const inCharge = sagaInCharge(orderId, { status: 'CONFIRMED', unwindingReason: isTakingBack ? 'OPERATOR' : null });
    return {
      ...{ orderId, total, deadLetterId: null, workflowId: saga?.workflowId ?? inCharge },
      seen: { state: saga?.state ?? null, step: saga?.step ?? null, failure: saga?.failure ?? null },
      ...(not && { not }),
    };
  });
}

const IN_OPERATION = { state: 'skipped', because: 'another operation that has not ended is about it' } as const;
/** Nobody can vouch for a step that they have not seen: by the time it is decided on, it may be any. */
const AT_NO_STEP = { state: 'skipped', because: 'its saga waits at no step that could be skipped' } as const;

function whyNot({ isFinal, status }: OrderToDecide, action: OperationAction): Candidate['not'] {
  if (!isFinal) return undefined;
  if (action === 'compensate' && status === 'CONFIRMED')
    return { state: 'skipped', because: 'the order is CONFIRMED: cancelling it is what takes it back' };
  return { state: 'already-done', because: `the order is ${status}` };
}

async function selectLetters(
  { db }: Selecting,
  action: OperationAction,
  ids: string[],
  selection: OperationSelection,
): Promise<Selected> {
  const letters = await readDeadLetters(db, ids);
  const byId = new Map(letters.map((letter) => [letter.id, letter]));
  const unknown = ids.filter((id) => !byId.has(id));
  if (unknown.length > 0) return { outcome: 'unknown', ids: unknown };
  const candidates = ids.flatMap((id) => byId.get(id) ?? []).map((letter) => candidateOfLetter(letter, action));
  return candidates.length === 0 ? { outcome: 'nothing' } : { outcome: 'selected', selection, candidates };
}

function candidateOfLetter({ id, orderId, destination, cause, state }: DeadLetter, action: OperationAction): Candidate {
  const wanted = action === 'discard' ? 'DISCARDED' : 'DELIVERED';
  const other = action === 'discard' ? 'DELIVERED' : 'DISCARDED';
  return {
    ...{ orderId, workflowId: null, deadLetterId: id, total: null },
    seen: { state, step: destination, failure: cause },
    ...(state === wanted && { not: { state: 'already-done', because: `the event is ${state}` } }),
    ...(state === other && { not: { state: 'skipped', because: `the event is ${state}` } }),
  };
}

/** Of an earlier operation: what failed there, mostly. */
async function selectItems(
  to: Selecting,
  action: OperationAction,
  { operation, states }: { operation: string; states: ItemState[] },
): Promise<Selected> {
  const wanted = ITEM_STATES.filter((state) => states.includes(state));
  const subjects = await listSubjects(to.db, operation, wanted);
  const selection = { operation, states: wanted };
  const letters = subjects.flatMap(({ deadLetterId }) => deadLetterId ?? []);
  if (isOfLetters(action)) return selectLetters(to, action, letters, selection);
  const orders = subjects.filter(({ deadLetterId }) => deadLetterId === null).map(({ orderId }) => orderId);
  return selectOrders(to, action, once(orders), selection);
}
