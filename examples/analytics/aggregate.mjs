/**
 * Two loops. One has the live generation follow the feed. The other builds: the first generation, one that was asked for, or one
 * that is needed since the feed no longer has what comes next. What is built follows the feed from its oldest event, and the orders
 * API tells what had left before. Neither harms the other, nor a second process that does the same.
 */
import { factsOfEvent, factsOfOrder, nameOf } from './facts.mjs';
import { Gone } from './source.mjs';
import {
  beginGeneration,
  giveUp,
  knownToLive,
  promote,
  readGeneration,
  sweep,
  takeOrders,
  takePage,
} from './store.mjs';

/** Reasons for which an order is cancelled that may have been confirmed before. */
const AFTER_CONFIRMATION = new Set(['CANCELLED_BY_CUSTOMER', 'OPERATOR']);

/** One page of the feed. @returns whether there may be more at once */
export async function followOnce({ db, source, log }) {
  const live = await readGeneration(db, 'live');
  if (!live) return false;
  try {
    return await follow({ db, source }, live);
  } catch (err) {
    if (!(err instanceof Gone)) throw err;
    log('warn', 'The feed no longer has what comes next: the sums are built anew, and stand still until then.');
    await beginGeneration(db);
    return false;
  }
}

/** One page of the feed, or of the orders, for what is being built. @returns whether there may be more at once */
export async function buildOnce({ db, source, log }) {
  const built = await readGeneration(db, 'building');
  if (!built) {
    if (await readGeneration(db, 'live')) return sweep(db);
    await beginGeneration(db);
    return true;
  }
  try {
    // The feed first: what leaves it from its first page on would be noticed, and what had left before is in the list.
    const more = await follow({ db, source }, built);
    if (!built.listed && built.cursor !== null) return await list({ db, source }, built);
    if (more) return true;
  } catch (err) {
    if (!(err instanceof Gone)) throw err;
    log('warn', 'The feed has lost events while the sums were built: they are built from the beginning.');
    await giveUp(db, built);
    return true;
  }
  if (!(await promote(db, built))) return false;
  log('info', `Generation ${built.id} is live.`);
  return true;
}

async function follow({ db, source }, generation) {
  const { events, next, asOf } = await source.readFeed(generation.cursor);
  const changes = [];
  const unreadable = [];
  for (const event of events) {
    try {
      const told = factsOfEvent(event);
      if (told) changes.push({ ...told, isEvent: true });
    } catch (err) {
      unreadable.push({ id: nameOf(event), why: err.message });
    }
  }
  const taken = await takePage(db, generation, { changes, unreadable, next, asOf });
  return taken && events.length > 0;
}

async function list({ db, source }, generation) {
  const { orders, next } = await source.listOrders(generation.listedTo);
  const { read, unreadable } = readAll(orders);
  const known = await knownToLive(
    db,
    read.map(({ orderId }) => orderId),
  );
  const changes = [];
  for (const { orderId, facts } of read) {
    const exact = known.get(orderId);
    const confirmedAt = facts.confirmedAt ?? (await confirmationOf(source, facts, orderId, exact));
    const told = { ...facts, ...(confirmedAt && { confirmedAt }) };
    changes.push({ orderId, facts: exact ? exactly(told, exact) : told, isEvent: false });
  }
  await takeOrders(db, generation, { changes, unreadable, next });
  return true;
}

/** One that cannot be read is missing, and said to be: it must not be in the way of all others. */
function readAll(orders) {
  const read = [];
  const unreadable = [];
  for (const order of orders) {
    try {
      read.push(factsOfOrder(order));
    } catch (err) {
      unreadable.push({ id: nameOf(order), why: err.message });
    }
  }
  return { read, unreadable };
}

async function confirmationOf(source, { cancelledAt, reason }, orderId, exact) {
  if (!cancelledAt || !AFTER_CONFIRMATION.has(reason)) return undefined;
  if (exact?.confirmedAt) return exact.confirmedAt;
  const confirmation = await source.readConfirmation(orderId);
  return confirmation && (confirmation.at ?? cancelledAt);
}

/** What was told happened; when, the live generation may know better, which has it from the event. */
function exactly(told, exact) {
  const moments = ['placedAt', 'confirmedAt', 'cancelledAt'].filter((name) => told[name] && exact[name]);
  return { ...told, ...Object.fromEntries(moments.map((name) => [name, exact[name]])) };
}
