/**
 * The standing of a destination with one relay: when it took an event last, and for how long, and why, it has taken none. The relay
 * notes it in Postgres, for operators to read; nothing is decided by it, and a note that fails is made anew with the next.
 */
import { noteStanding } from '../domain/destinations.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import type { Delivery } from './delivery.js';
import type { PublishFailure } from './hold-policy.js';

/** While it goes well, that it does is noted this often. */
const NOTE_EVERY_MS = 2_000;

/** Takes in what has become of a round. */
export function observe(
  delivery: Delivery,
  { delivered, failures }: { delivered: number; failures: PublishFailure[] },
): void {
  const { standing, notBeforeMs } = delivery;
  const [first] = failures;
  if (delivered > 0) standing.takenAt = new Date();
  if (delivered > 0 || !isInTrouble(delivery)) standing.failingSince = null;
  else if (first) standing.failingSince ??= new Date();
  if (first) standing.error = sentenceOf(first.error);
  if (!isInTrouble(delivery)) standing.error = null;
  const leftAloneMs = notBeforeMs - performance.now();
  if (leftAloneMs <= 0 || notBeforeMs === delivery.observedNotBeforeMs) return;
  standing.leftAloneUntil = new Date(Date.now() + leftAloneMs);
  delivery.observedNotBeforeMs = notBeforeMs;
}

/** Whether some event has failed and is tried again; one that was given up is a dead letter, and no trouble of the destination. */
const isInTrouble = ({ backlogs }: Delivery): boolean =>
  [...backlogs.values()].some(({ streams }) => [...streams.values()].some(({ trouble }) => trouble.tries > 0));

/** Notes it, if it is another one than was noted last. */
export async function noteOnce(delivery: Delivery): Promise<void> {
  const { db, publisher, owner, standing, logger } = delivery;
  const { noted } = delivery;
  const isSame =
    noted.failingSince === standing.failingSince &&
    noted.error === standing.error &&
    noted.leftAloneUntil === standing.leftAloneUntil;
  const isTakenNews = noted.takenAt !== standing.takenAt && performance.now() - delivery.notedAtMs > NOTE_EVERY_MS;
  if (isSame && !isTakenNews) return;
  const now = { ...standing };
  try {
    await noteStanding(db, { destination: publisher.destination, owner }, now);
    delivery.noted = now;
    delivery.notedAtMs = performance.now();
  } catch (err) {
    logger.debug({ err, destination: publisher.destination }, 'how a destination stands could not be noted');
  }
}
