/** Plain words for whoever has only this text, on a telephone: times, spans, what a failure is called, and the terms that cannot be avoided. */
import { TRANSIENT_FAILURES } from '../contracts/saga.js';

/** `22:05:33Z` today, else `2026-11-29 22:05:33Z`: for sentences, where milliseconds only disturb. */
export function clock(at: string | number, now = Date.now()): string {
  const [moment, today] = [at, now].map((time) => new Date(time).toISOString().slice(0, 19).replace('T', ' '));
  const isToday = moment?.slice(0, 10) === today?.slice(0, 10);
  return `${isToday ? moment?.slice(11) : moment}Z`;
}

/** 20000 → `20 s`, 240000 → `4 min`, 3600000 → `1 h`; never more exact than it has to be. */
export function span(ms: number): string {
  const units = [
    { word: 'h', ms: 3_600_000 },
    { word: 'min', ms: 60_000 },
  ];
  const unit = units.find((each) => ms >= each.ms && ms % each.ms === 0);
  return unit ? `${ms / unit.ms} ${unit.word}` : `${ms / 1_000} s`;
}

const FAILURES: Record<string, string> = {
  GatewayUnknown: 'the payment gateway gave no answer, or none about money',
  DatabaseUnavailable: 'the database did not answer',
  Locked: 'somebody holds a row that it needs',
  TimeoutFailure: 'its tries hung, or their worker died',
  AccountHeld: 'the payment account is held for another database',
  GatewayMismatch: 'the gateway has something else than was asked for',
  RefundFailed: 'the gateway refuses the refund, or the refunds that were made have failed',
  PaidOutside: 'the order was paid by other means than the gateway',
  HoldingLost: 'the database lacks what an earlier step did',
  UndoFailing: 'it goes on failing',
  StepFailing: 'it goes on failing',
  Error: 'an error of no known kind',
};

/** What a failure's type says; the type itself stays, since lists and alarms have it. */
export const failureWords = (failure: string | null): string =>
  failure === null ? 'for a reason not known' : `${FAILURES[failure] ?? 'an error of this kind'}: ${failure}`;

/** What the text says of it is all that is known: `ops` cannot tell what would mend it. */
export const isUnknownFailure = (failure: string | null): boolean =>
  failure === null ||
  failure === 'Error' ||
  !(Object.hasOwn(FAILURES, failure) || Object.hasOwn(TRANSIENT_FAILURES, failure));

export type Word = { word: string; means: string };

const WORDS: (Word & { of: RegExp })[] = [
  {
    word: 'saga',
    of: /\bsagas?\b/i,
    means: 'what carries out an order’s steps, or undoes them: one workflow in Temporal',
  },
  {
    word: 'undo',
    of: /\bundos?\b/i,
    means: 'what takes a step back: refundPayment the charge, releaseInventory the pieces',
  },
  {
    word: 'parked',
    of: /\bparked\b/i,
    means:
      'it is not tried at short intervals any more; it stands until what it waits for is back, you decide, or its deadline comes',
  },
  { word: 'relay', of: /\brelays?\b/i, means: 'the process that starts what was not started, and sends events out' },
  { word: 'worker', of: /\bworkers?\b/i, means: 'the process that carries out steps and undos' },
  {
    word: 'reconciler',
    of: /\breconciler\b/i,
    means: 'the loop in the workers that compares the gateway’s charges with ours, and gives back what is held wrongly',
  },
  {
    word: 'finding',
    of: /\bfindings?\b/i,
    means: 'a difference between the gateway and us, kept until it is settled or closed',
  },
  {
    word: 'dead letter',
    of: /\bdead letters?\b/i,
    means: 'an event that its destination refuses; later ones of the order wait behind it',
  },
  { word: 'row', of: /\brow\b/i, means: 'the order as our database has it; where the sources differ, it decides' },
  { word: 'vouch', of: /\bvouch/i, means: 'an operator has said so, under their name; no machine has checked it' },
];

/** @returns the terms that a text uses, each with what it means */
export const wordsIn = (text: string): Word[] =>
  WORDS.filter(({ of }) => of.test(text)).map(({ word, means }) => ({ word, means }));
