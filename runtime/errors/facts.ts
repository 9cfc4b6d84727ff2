/**
 * What leaves this process of an error: into logs, failures in Temporal, `lastError`, dead letters and answers. A sentence of our
 * own is said as it is; of an error that others have made, only what an allow-list (families.ts) names: messages of databases,
 * brokers and clients quote rows, statements, passwords and whole requests. Names and frames are code, and stay.
 */
import { types } from 'node:util';
import { foreignFacts, type ForeignFacts, knownPhrase } from './families.js';
import { framesOf, isMadeByUs } from './origin.js';
import { scrub } from './scrub.js';

export type ErrorFacts = ForeignFacts & {
  /** Its class. */
  type: string;
  message: string;
  /** Frames only. */
  stack?: string;
  cause?: ErrorFacts;
  errors?: ErrorFacts[];
};

/** An error of errors of errors is cut off; a cycle would never end. */
const DEPTH_MAX = 4;
const ERRORS_MAX = 3;
/** An operator's screen holds some lines; a sentence that is longer was made of something else. */
const MESSAGE_LENGTH_MAX = 1_000;

const made = new WeakSet<object>();

/** Whether it is what `describeError` has returned; a copy of that is not. */
export const isDescribed = (value: unknown): value is ErrorFacts =>
  typeof value === 'object' && value !== null && made.has(value);

/** @param thrown anything; what this has returned before is returned as it is */
export const describeError = (thrown: unknown): ErrorFacts => (isDescribed(thrown) ? thrown : describe(thrown, 0));

/** @returns what happened in one line */
export function sentenceOf(thrown: unknown): string {
  return describeError(thrown)
    .message.trim()
    .replaceAll(/\s*\n\s*/g, ' ');
}

/** @returns what a terminal shows of an error that no command has expected */
export function printableError(thrown: unknown): string {
  const { type, message, stack, cause } = describeError(thrown);
  const lines = [`${type}: ${message}`, ...(stack === undefined ? [] : [stack])];
  if (cause) lines.push(`  caused by ${cause.type}: ${cause.message}`);
  return lines.join('\n');
}

/** Errors of other realms, as Jest's, are no `instanceof`. */
export const isError = (value: unknown): value is Error => types.isNativeError(value) || value instanceof Error;

function describe(thrown: unknown, depth: number): ErrorFacts {
  const facts = isError(thrown) ? describedSafely(thrown, depth) : { type: typeof thrown, message: WITHHELD };
  made.add(facts);
  return facts;
}

/** Whoever logs an error is in trouble already: one whose own properties throw, or are not what they should be, makes no more. */
function describedSafely(error: Error, depth: number): ErrorFacts {
  try {
    return ofError(error, depth);
  } catch {
    return { type: 'Error', message: 'an error that cannot be described' };
  }
}

const WITHHELD = 'not an error of ours; what it says is withheld';

function ofError(error: Error, depth: number): ErrorFacts {
  const frames = framesOf(error);
  const type = typeOf(error);
  const isOurs = saysOurWords(type, frames);
  const { code, ...others } = foreignFacts(type, error);
  const facts = { ...(code !== undefined && { code }), ...(!isOurs && others) };
  const causes = depth < DEPTH_MAX ? causesOf(error) : {};
  const cause = causes.cause && describe(causes.cause, depth + 1);
  const errors = causes.errors?.map((each) => describe(each, depth + 1));
  return {
    type,
    message: isOurs
      ? scrub(error.message).slice(0, MESSAGE_LENGTH_MAX)
      : foreignSentence(type, error, facts, cause ?? errors?.[0]),
    ...facts,
    ...(frames.length > 0 && { stack: frames.join('\n') }),
    ...(cause && { cause }),
    ...(errors && errors.length > 0 && { errors }),
  };
}

function typeOf(error: Error): string {
  // Some libraries leave the name as it is, and have only the class.
  const names = error.name === 'Error' ? [error.constructor?.name] : [error.name, error.constructor?.name];
  return names.find((name) => typeof name === 'string' && /^[A-Za-z]\w{0,63}$/.test(name)) ?? 'Error';
}

/** The engine writes its own sentences at places of ours, and quotes values in them. */
const OF_THE_ENGINE = new Set(['TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'URIError', 'EvalError']);

/** Of an ApplicationFailure the words are those of activities/failures or of the saga's validators, wherever it was decoded. */
const saysOurWords = (type: string, frames: readonly string[]): boolean =>
  type === 'ApplicationFailure' || (isMadeByUs(frames) && !OF_THE_ENGINE.has(type));

/** What holds the reason differs: `cause`, Stripe's `detail`, the errors of an AggregateError. */
function causesOf(error: Error): { cause?: Error; errors?: Error[] } {
  const { cause, detail, errors } = error as { cause?: unknown; detail?: unknown; errors?: unknown };
  const first = [cause, detail].find((each) => isError(each));
  return {
    ...(first !== undefined && { cause: first as Error }),
    ...(Array.isArray(errors) && { errors: errors.filter((each) => isError(each)).slice(0, ERRORS_MAX) }),
  };
}

function foreignSentence(type: string, error: Error, facts: ForeignFacts, deeper: ErrorFacts | undefined): string {
  const words = wordsOf(error, facts);
  if (words !== undefined && deeper && (deeper.code !== undefined || words === knownPhrase(error.message)))
    return `${words}: ${deeper.message}`;
  return words ?? (deeper ? `${type}: ${deeper.message}` : `${type}, whose message is withheld`);
}

function wordsOf(error: Error, { syscall, address, port, code, ...rest }: ForeignFacts): string | undefined {
  const { sqlState, table, constraint, kind, status, requestId, command } = rest;
  if (syscall !== undefined && code !== undefined) {
    const at = address === undefined ? '' : ` ${address}${port === undefined ? '' : `:${port}`}`;
    return `${syscall} ${code}${at}`;
  }
  const coded = [
    code !== undefined && code !== sqlState && `${code}`,
    sqlState !== undefined && `SQLSTATE ${sqlState}`,
    table !== undefined && `table ${table}`,
    constraint !== undefined && `constraint ${constraint}`,
    kind,
    status !== undefined && `status ${status}`,
    requestId !== undefined && `request ${requestId}`,
    command !== undefined && `command ${command}`,
  ].filter((word) => word !== false && word !== undefined);
  const phrase = knownPhrase(error.message);
  if (coded.length === 0) return phrase;
  return `${phrase ?? typeOf(error)} (${coded.join(', ')})`;
}
