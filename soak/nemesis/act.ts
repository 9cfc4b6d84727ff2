/** What a fault is made of: how it begins, and how it is taken back. */
import type { Fault } from '../plan/faults.js';
import type { Installation } from '../world/installation.js';
import { until } from '../world/waiting.js';

/** @returns undefined if there was nothing to harm just then, as no refund to send back */
export type Begin = (around: Installation, fault: Fault) => Promise<Heal | undefined>;
export type Heal = () => Promise<void>;

/** What is over as soon as it has happened. */
export const nothingToHeal: Heal = async () => undefined;

/** Faults of Postgres take turns with others: what needs it waits until it answers. */
const ANSWERS_WITHIN_MS = 90_000;
export const whenPostgresAnswers = <T>(work: () => Promise<T>): Promise<T> =>
  until('Postgres answers', ANSWERS_WITHIN_MS, work as () => Promise<T | false | undefined>) as Promise<T>;
