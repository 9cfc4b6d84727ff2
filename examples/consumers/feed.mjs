/**
 * The feed → effects, exactly once, without any broker. DATABASE_URL=… node examples/consumers/feed.mjs
 * A page may hold fewer events than `limit`: only an empty one means that there is nothing new.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { openTable } from './dead/table.mjs';
import { startConsumer } from './kit/consumer.mjs';
import { bodyOf } from './kit/event.mjs';
import { wordsOf } from './kit/log.mjs';
import { text } from './kit/settings.mjs';

const POLL_MS = 500;
const ANSWER_LIMIT_MS = 30_000;

const kit = await startConsumer(
  'feed',
  {
    FEED_URL: text('http://127.0.0.1:3000/events'),
    FEED_TOKEN: text(''), // of a service, where the API asks for one
    FEED_GAP: text('stop'), // `oldest`: go on where the feed begins, should it have lost what comes next
  },
  openTable,
);
const { FEED_URL, FEED_TOKEN, FEED_GAP, BATCH } = kit.settings;
const headers = FEED_TOKEN === '' ? {} : { authorization: `Bearer ${FEED_TOKEN}` };

const running = run();
kit.leave = () => running; // with its place noted

async function run() {
  let after = await kit.whenBack(readPlace).catch(kit.failed);
  while (!kit.stopping.aborted) {
    const { events = [], next } = (await readPage(after).catch(complain)) ?? {};
    // In the order of the page: the lanes keep each order's events one after another.
    const taken = await Promise.all(events.map(take)).then(() => true, kit.failed);
    if (taken && next && next !== after && (await keep(next))) after = next; // after the effects; lost, it only brings them again
    if (events.length === 0) await pause(POLL_MS);
  }
}

/** @returns undefined if nothing has been read yet */
async function readPlace() {
  const { rows } = await kit.db.query('SELECT after FROM cursors WHERE consumer = $1', [kit.consumer]);
  return rows[0]?.after;
}

function complain(err) {
  if (kit.stopping.aborted) return;
  kit.metrics.cutOff.set(1);
  kit.log.warn('the feed does not answer', { error: wordsOf(err) });
}

/** @returns undefined: ask again */
async function readPage(after) {
  const url = new URL(FEED_URL);
  url.searchParams.set('limit', BATCH);
  if (after) url.searchParams.set('after', after);
  const answer = await fetch(url, {
    headers,
    signal: AbortSignal.any([AbortSignal.timeout(ANSWER_LIMIT_MS), kit.stopping]),
  });
  if (answer.ok) {
    const page = await answer.json();
    if (!Array.isArray(page?.events)) throw new Error('what it answered is no page of events');
    kit.metrics.cutOff.set(0);
    return page;
  }
  if (answer.status !== 410) throw new Error(`it answered ${answer.status}`);
  // It has stood still for longer than events are kept. To go on without them is its operator's word.
  const { detail, oldest } = await answer.json();
  if (FEED_GAP !== 'oldest') throw new Error(`${detail} Make up for that, then start with FEED_GAP=oldest.`);
  kit.log.warn('goes on with the oldest event there is', { detail });
  return { events: [], next: oldest };
}

function take(event) {
  return kit.take({ id: event?.id, headers: {}, body: bodyOf(event) });
}

/** @returns whether it could be noted */
async function keep(place) {
  const noted = 'INSERT INTO cursors VALUES ($1, $2) ON CONFLICT (consumer) DO UPDATE SET after = excluded.after';
  return kit.db.query(noted, [kit.consumer, place]).then(
    () => true,
    (err) => void kit.log.warn('how far it has read is not noted', { error: wordsOf(err) }),
  );
}
