/**
 * Answers to acts on several orders as an Idempotency-Key keeps them: without texts that may tell of a person. An erasure reaches these where
 * they belong, and a key that is of no one order it would not find. Answers about one order are kept under it, and go with it.
 */
import type { Operation } from '../../contracts/operations.js';
import { readDeadLetters } from '../../domain/dead-letters.js';
import type { ApiDependencies } from '../dependencies.js';
import type { Keeping } from '../http/idempotency.js';
import { requireOperation } from './operation-reads.js';

/**
 * What operators wrote may tell of a person, and the operation has it for as long as it may; a pause that is over has taken its text
 * along.
 */
export const withoutTexts = (deps: ApiDependencies, id: string): Keeping => ({
  strip: (body) => {
    const { reason, pause, abortReason, ...rest } = body as Operation;
    return { ...rest, reason: reason && '', pause: pause && { ...pause, because: '' }, abortReason: abortReason && '' };
  },
  restore: async (kept) => {
    const then = JSON.parse(kept) as Operation;
    const { reason, pause, abortReason } = await requireOperation(deps, id);
    return JSON.stringify({
      ...then,
      reason: then.reason === null ? null : reason,
      pause: then.pause && { ...then.pause, because: pause?.because ?? '' },
      abortReason: then.abortReason === null ? null : abortReason,
    });
  },
});

type Result = { id: string; error: string | null };
type Results = { results: Result[] };

/** What a destination answered may tell of the event's person, and the letter has it. */
export const withoutErrors = ({ db }: ApiDependencies): Keeping => ({
  strip: (body) => ({ results: (body as Results).results.map((one) => ({ ...one, error: one.error && '' })) }),
  restore: async (kept) => {
    const { results } = JSON.parse(kept) as Results;
    const parked = await readDeadLetters(
      db,
      results.filter(({ error }) => error !== null).map(({ id }) => id),
    );
    const errors = new Map(parked.map(({ id, error }) => [id, error]));
    return JSON.stringify({
      results: results.map((one) => ({ ...one, error: one.error === null ? null : (errors.get(one.id) ?? '') })),
    });
  },
});
