/**
 * What the five programs share: an event is had once, or becomes a dead letter. A message that cannot be read does at once; one that
 * fails is tried three times; while this consumer's own database is away everything waits, since that says nothing about an event.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase } from './database.mjs';
import { identityOf, readEvent, Unreadable } from './event.mjs';
import { Forgotten, openInbox } from './inbox.mjs';
import { createLanes } from './lanes.mjs';
import { createLog, factsOf, wordsOf } from './log.mjs';
import { createMetrics, serveMetrics } from './metrics.mjs';
import { readSettings } from './settings.mjs';
import { processed } from './tracing.mjs';

const TRIES = 3;
const BACKOFF_FACTOR = 5;
const FORGET_EVERY_MS = 3_600_000;
/** Between two tries of what an outage has stopped. */
const AGAIN_MS = 500;

/** It ends, and what is in hand will come again. */
class Stopping extends Error {}

/**
 * @param destination feed, webhook, kafka, nats or rabbitmq: the name of the consumer, too
 * @param openPlace opens its place for dead letters, given what this returns
 */
export async function startConsumer(destination, ownSettings, openPlace) {
  const settings = readSettings(ownSettings);
  const log = createLog(destination);
  const stopping = new AbortController();
  const db = openDatabase(settings);
  const lanes = createLanes(settings);
  const metrics = createMetrics({ consumer: destination, lanes });
  const kit = { consumer: destination, settings, log, stopping: stopping.signal, db, lanes, metrics };
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop(kit, stopping, signal));
  kit.endMetrics = await serveMetrics(metrics.registry, settings.METRICS_PORT);
  kit.inbox = await whenBack(kit, () => openInbox(db, destination, settings)).catch(unlessStopping);
  kit.place = await whenBack(kit, () => openPlace(kit)).catch(unlessStopping);
  void forgetNowAndThen(kit);
  log.info('started', { pid: process.pid });
  kit.take = (message, options) => take(kit, message, options);
  kit.untilDatabase = () => untilDatabase(kit);
  kit.whenBack = (work) => whenBack(kit, work);
  /** For whoever waits for `take`: that it ends is no failure; anything else is a bug, and nothing of it is acknowledged. */
  kit.failed = (err) => {
    if (err instanceof Stopping) return;
    log.error('ends itself', { error: wordsOf(err), stack: err?.stack });
    process.exit(1);
  };
  return kit;
}

/** One that is told to end amid its start has no more to do than `stop`, which ends it. */
function unlessStopping(err) {
  if (err instanceof Stopping) return new Promise(() => undefined);
  throw err;
}

/** Does what a start takes of the database, again if that goes away meanwhile. */
async function whenBack(kit, work) {
  for (;;) {
    await untilDatabase(kit);
    try {
      return await work();
    } catch (err) {
      if (kit.stopping.aborted) throw new Stopping();
      if (kit.db.isUnprepared(err) || !(await kit.db.isAway(err))) throw err;
      kit.log.warn('its database does not do it now, and is asked again', { error: wordsOf(err) });
      await pause(AGAIN_MS);
    }
  }
}

/**
 * Resolves when the message may be acknowledged: its event was had, or it lies in the dead letters.
 * @param message as it came: `headers` and `body`, and beside them the event's `id`, if that is known without reading the body
 * @param isPatient whether to wait while the database is away; a webhook's sender comes again
 * @throws Stopping, or what the database says
 */
function take(kit, message, { isPatient = true } = {}) {
  const reading = read(kit, message);
  const about = reading.event ?? identityOf(message.id);
  return kit.lanes.run(about.subject, about.time, async () => {
    if (kit.stopping.aborted) throw new Stopping();
    if (reading.fault) return bury(kit, message, about, `unreadable: ${reading.fault}`, isPatient);
    return processed(reading.event, () => tryThrice(kit, message, reading.event, isPatient));
  });
}

function read({ consumer }, message) {
  try {
    return { event: readEvent(consumer, message) };
  } catch (err) {
    if (err instanceof Unreadable) return { fault: err.message };
    throw err;
  }
}

async function tryThrice(kit, message, event, isPatient) {
  const { settings, log, metrics } = kit;
  for (let tries = 1; ; tries++) {
    try {
      const { outcome, isLate, heldFrom } = await whileThere(kit, isPatient, () => kit.inbox.take(event));
      if (outcome === 'behind') return bury(kit, message, event, `behind: number ${heldFrom} of its order`, isPatient);
      metrics.outcomes.inc({ outcome });
      if (isLate) metrics.late.inc();
      log.info(outcome, factsOf(event));
      return outcome;
    } catch (err) {
      if (err instanceof Stopping || err instanceof Away) throw err;
      if (err instanceof Forgotten)
        return bury(kit, message, event, 'forgotten: it may have been had before', isPatient);
      metrics.failures.inc();
      log.warn('failed', { ...factsOf(event), tries, error: wordsOf(err) });
      if (tries === TRIES) return bury(kit, message, event, `failed: ${wordsOf(err)}`, isPatient);
      await pause(settings.RETRY_BACKOFF * BACKOFF_FACTOR ** (tries - 1));
    }
  }
}

/**
 * To the dead letters, and its order's later events behind it. A letter that is laid down and not noted, in a crash, is laid down
 * again: the inbox knows which was had. Of a message that is nobody's, nothing can be held.
 */
async function bury(kit, message, about, cause, isPatient) {
  const { place, inbox, log, metrics } = kit;
  const { id, subject, sequence } = about;
  const letter = { id, subject, sequence, cause, headers: message.headers, body: message.body };
  const isBehind = cause.startsWith('behind');
  const whole = async () => {
    if (subject === undefined) return lay(kit, letter);
    if (place.isTable) return inbox.hold(about, (client) => place.put(letter, client), isBehind);
    const { isHad, isHeld } = await inbox.stateOf(about);
    if (isHad || isHeld) return 'known';
    await lay(kit, letter);
    return inbox.hold(about, () => undefined, isBehind);
  };
  const became = await whileThere(kit, isPatient, whole);
  if (became === 'free') return tryThrice(kit, message, about, isPatient); // it was replayed in between
  const outcome = became === 'known' ? 'duplicate' : isBehind ? 'behind' : 'dead';
  metrics.outcomes.inc({ outcome });
  log[outcome === 'dead' ? 'error' : 'info'](outcome, { ...factsOf(about), cause });
  return outcome;
}

/** Lays a letter down, sooner or later: without that, its order cannot go on. */
async function lay({ place, log, stopping }, whole) {
  let letter = whole;
  for (;;) {
    try {
      await place.put(letter);
      return 'held';
    } catch (err) {
      if (place.isTable) throw err;
      // As it came it would just have fitted; with why it is here it does not. Who it was is enough to find it where it came from.
      if (place.isTooLarge(err) && letter === whole)
        letter = { ...whole, headers: {}, body: '', cause: `${whole.cause}; too large to be kept here` };
      log.warn('the place for dead letters does not answer', { error: wordsOf(err) });
      if (stopping.aborted) throw new Stopping();
      await pause(AGAIN_MS);
    }
  }
}

/** The database is away, and whoever asks does not wait for it. */
class Away extends Error {}

/** Does it, again and again while the database is away. */
async function whileThere(kit, isPatient, work) {
  const { db, log, metrics } = kit;
  for (;;) {
    try {
      const result = await work();
      metrics.paused.set(0);
      return result;
    } catch (err) {
      if (err instanceof Stopping || err instanceof Forgotten || !(await db.isAway(err))) throw err;
      metrics.paused.set(1);
      if (!isPatient) throw new Away('the database is away', { cause: err });
      if (kit.stopping.aborted) throw new Stopping();
      log.warn('its database does not do it now, and is asked again', { error: wordsOf(err) });
      await pause(AGAIN_MS);
      await untilDatabase(kit);
    }
  }
}

async function untilDatabase({ db, log, metrics, stopping }) {
  metrics.paused.set(1);
  await db.back(stopping, (err) => log.warn('its database is away: everything waits', { error: wordsOf(err) }));
  metrics.paused.set(0);
}

async function forgetNowAndThen({ inbox, log, stopping }) {
  while (!stopping.aborted) {
    const gone = await inbox
      .forget()
      .catch((err) => void log.warn('the inbox was not tidied', { error: wordsOf(err) }));
    if (gone > 0) log.info('forgot what is past INBOX_RETENTION', { rows: gone });
    await pause(FORGET_EVERY_MS, undefined, { ref: false, signal: stopping }).catch(() => undefined);
  }
}

/**
 * SIGTERM: reads nothing more, finishes what it has begun, acknowledges that, and ends. What waits in its lane will come again.
 * `kit.leave` is what the destination adds.
 */
async function stop(kit, stopping, signal) {
  kit.log.info('stopping', { signal, inHand: kit.lanes.inHand() });
  stopping.abort();
  setTimeout(() => {
    kit.log.warn('not finished in time: what is left will come again', { inHand: kit.lanes.inHand() });
    process.exit(1);
  }, kit.settings.SHUTDOWN_LIMIT);
  await kit.lanes.idle();
  await kit.leave?.().catch((err) => kit.log.warn('did not take its leave', { error: wordsOf(err) }));
  await kit.place?.close();
  await kit.endMetrics?.();
  await kit.db.close();
  kit.log.info('stopped');
  process.exit(0);
}
