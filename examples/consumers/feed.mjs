/**
 * The feed → effects, exactly once, without any broker. FEED_URL=http://127.0.0.1:3000/events DATABASE_URL=… node examples/consumers/feed.mjs
 * Needs no cursor of its own to be right: the inbox knows what was had. Keep `next` to start faster.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { openInbox } from './inbox.mjs';

const POLL_MS = 500;

const once = await openInbox('feed');
let after = '';
for (;;) {
  const answer = await fetch(`${process.env.FEED_URL}?limit=1000${after}`).catch(() => undefined);
  const { events, next } = answer?.ok ? await answer.json() : { events: [] }; // away, or busy: ask again
  for (const event of events) await once(event);
  if (next) after = `&after=${encodeURIComponent(next)}`; // after the effects; lost, it only brings them again
  if (events.length === 0) await pause(POLL_MS);
}
