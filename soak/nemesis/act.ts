/** What a fault is made of: how it begins, and how it is taken back. */
import type { Fault } from '../plan/faults.js';
import type { Installation } from '../world/installation.js';

/** @returns undefined if there was nothing to harm just then, as no refund to send back */
export type Begin = (around: Installation, fault: Fault) => Promise<Heal | undefined>;
export type Heal = () => Promise<void>;

/** What is over as soon as it has happened. */
export const nothingToHeal: Heal = async () => undefined;
