/**
 * Dead letters of a consumer: node examples/consumers/dead-letters.mjs <destination> list | replay | discard [--subject S] [--cause WORD] [--all] [--limit N]
 * With the consumer's own environment, while it runs or while it does not. Replay has the effects here and now, each order's in
 * sequence: nothing is sent back to the topic, stream or queue, where others would get it, too. Discard vouches that the effect
 * is not to be had any more; its order goes on.
 */
import { parseArgs } from 'node:util';
import { PLACES } from './dead/places.mjs';
import { openDatabase } from './kit/database.mjs';
import { readEvent, Unreadable } from './kit/event.mjs';
import { openInbox } from './kit/inbox.mjs';
import { createLog, wordsOf } from './kit/log.mjs';
import { readSettings } from './kit/settings.mjs';

/** Open ones that are looked at; run it again for more. */
const LETTERS_MAX = 10_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    subject: { type: 'string' },
    cause: { type: 'string' },
    all: { type: 'boolean' },
    limit: { type: 'string' },
  },
});
const [destination, verb] = positionals;
const open = PLACES[destination];
const limit = Number(values.limit ?? LETTERS_MAX);
const isChosen = values.subject !== undefined || values.cause !== undefined || values.all === true;
if (
  !open ||
  !['list', 'replay', 'discard'].includes(verb) ||
  !(limit >= 1 && limit <= LETTERS_MAX) ||
  (verb !== 'list' && !isChosen)
) {
  process.stderr.write(
    `dead-letters.mjs ${Object.keys(PLACES).join('|')} list|replay|discard --subject S, --cause WORD or --all, --limit 1 to ${LETTERS_MAX}\n`,
  );
  process.exit(64);
}

const settings = readSettings(open.settings);
const db = openDatabase(settings);
const inbox = await openInbox(db, destination, settings);
const place = await open.place({ consumer: destination, db, settings, log: createLog(destination) });
const letters = (await place.list(limit, async (letter) => !(await isHad(letter))))
  .filter(({ subject }) => values.subject === undefined || subject === values.subject)
  .filter(({ cause }) => values.cause === undefined || cause.startsWith(values.cause))
  .sort((a, b) => `${a.subject}`.localeCompare(`${b.subject}`) || a.sequence - b.sequence);
const acts = { list: () => 'is there', replay, discard };
let left = 0;
for (const letter of letters) {
  if (await isDone(letter)) continue;
  const became = await acts[verb](letter);
  const { id = null, subject = null, sequence = null, cause, at } = letter;
  process.stdout.write(`${JSON.stringify({ id, subject, sequence, cause, at, became })}\n`);
  if (!['is there', 'processed', 'ignored', 'duplicate', 'discarded'].includes(became)) left += 1;
}
await place.close();
await db.close();
process.exitCode = left > 0 ? 1 : 0;

async function isHad(letter) {
  return Boolean(letter.subject) && (await inbox.stateOf(letter)).isHad;
}

/** Laid down twice, or settled in a place that forgets nothing. */
async function isDone(letter) {
  if (!(await isHad(letter))) return false;
  await letter.remove();
  return true;
}

/** @returns what became of it; it stays where it is unless it was had */
async function replay(letter) {
  try {
    const { outcome } = await inbox.take(readEvent(destination, letter), { isReplay: true });
    if (outcome !== 'behind') await letter.remove();
    return outcome;
  } catch (err) {
    return err instanceof Unreadable ? `unreadable: ${err.message}` : `failed: ${wordsOf(err)}`;
  }
}

async function discard(letter) {
  if (letter.subject) await inbox.discard(letter);
  await letter.remove();
  return 'discarded';
}
