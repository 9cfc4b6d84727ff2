/** Every situation in which an operator may find an order, and what is to be said of it: one declared table. */
import type { Staged } from './staged.js';
import { ENDED } from './staged-ended.js';
import { GOING } from './staged-going.js';
import { UNDONE } from './staged-undone.js';

export const STAGED: Staged[] = [...GOING, ...UNDONE, ...ENDED];
