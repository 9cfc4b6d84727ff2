/** One decision on one dead letter, and what came of it: the relay that serves the order's partition carries it out. */
import { setTimeout as pause } from 'node:timers/promises';
import type { DeadLetter, DeadLetterDecision } from '../../contracts/dead-letters.js';
import { decisionOnDeadLetter } from '../../domain/audit/changes.js';
import type { Database } from '../../domain/database.js';
import { readDeadLetters } from '../../domain/dead-letters.js';
import { sentenceOf } from '../../runtime/errors/facts.js';
import type { ItemResult } from './outcomes.js';
import type { Recorder } from './recorder.js';

/** A relay carries a replay out within a second, unless the destination takes its 10 s not to answer. */
const OUTCOME_LIMIT_MS = 13_000;
const POLL_MS = 200;

/** @returns never throws for what concerns this dead letter alone */
export async function decideOnLetter(
  { db, recorder }: { db: Database; recorder: Recorder },
  deadLetter: DeadLetter,
  decision: DeadLetterDecision,
): Promise<ItemResult & { letter: string }> {
  const subject = { orderId: deadLetter.orderId, letter: deadLetter.id };
  try {
    const isRecorded = await recorder.act(db, decisionOnDeadLetter(deadLetter.id, decision));
    const now = await awaitOutcome(db, deadLetter);
    return { ...subject, state: now.state, ...resultOf(now, decision, isRecorded) };
  } catch (err) {
    return { ...subject, outcome: 'failed', state: null, message: sentenceOf(err) };
  }
}

async function awaitOutcome(db: Database, deadLetter: DeadLetter): Promise<DeadLetter> {
  const deadline = Date.now() + OUTCOME_LIMIT_MS;
  for (;;) {
    const [now = deadLetter] = await readDeadLetters(db, [deadLetter.id]);
    if (now.state !== 'REPLAYING' || Date.now() > deadline) return now;
    await pause(POLL_MS);
  }
}

function resultOf(
  { state, error, sequence, type }: DeadLetter,
  { action }: DeadLetterDecision,
  isRecorded: boolean,
): Pick<ItemResult, 'outcome' | 'message'> {
  const event = `event ${sequence} (${type})`;
  switch (state) {
    case 'DELIVERED':
      if (action === 'discard') return { outcome: 'refused', message: `${event} has been delivered` };
      return { outcome: isRecorded ? 'done' : 'gone', message: `${event} is delivered` };
    case 'DISCARDED':
      if (action === 'replay') return { outcome: 'refused', message: `${event} has been discarded` };
      return { outcome: isRecorded ? 'done' : 'gone', message: `${event} is never sent` };
    case 'PARKED':
      return { outcome: 'failed', message: `parked again: ${error}` };
    case 'REPLAYING':
      return {
        outcome: 'unanswered',
        message: 'recorded, and not carried out yet: does a relay run, and its destination answer?',
      };
    default:
      throw new Error(`Bug! Unhandled state "${state satisfies never}"`);
  }
}
