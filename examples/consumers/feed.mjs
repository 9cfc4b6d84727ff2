/**
 * The feed → effects, exactly once, without any broker. FEED_URL=http://127.0.0.1:3000/events DATABASE_URL=… node examples/consumers/feed.mjs
 * Needs no cursor of its own to be right: the inbox knows what was had. Keep `next` to start faster.
 * A page may hold fewer events than `limit`: only an empty one means that there is nothing new.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { openInbox } from './inbox.mjs';
import { processed } from './tracing.mjs';

const POLL_MS = 500;
const COMPLAIN_EVERY_MS = 60_000;

const once = await openInbox('feed');
let after = '';
for (;;) {
  const answer = await fetch(`${process.env.FEED_URL}?limit=1000${after}`).catch(() => undefined);
  if (answer?.status === 410) {
    // It has stood still for longer than events are kept. To go on without them is its operator's word: starting it again.
    const { detail } = await answer.json();
    process.stderr.write(`${detail} Make up for that; started again, this begins with the oldest event there is.\n`);
    await pause(COMPLAIN_EVERY_MS);
    continue;
  }
  const { events, next } = answer?.ok ? await answer.json() : { events: [] }; // away, or busy: ask again
  for (const event of events) await processed(event, once);
  if (next) after = `&after=${encodeURIComponent(next)}`; // after the effects; lost, it only brings them again
  if (events.length === 0) await pause(POLL_MS);
}
