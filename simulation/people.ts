/** Operators, customers and whatever befalls workers: who does what, and when, chosen by the tape before the simulation begins. */
import { BY_MACHINE, BY_PROBER, CANCEL_UPDATE, RESOLVE_UPDATE, RETRY_SIGNAL } from '../contracts/saga.js';
import type { Clock } from './clock.js';
import type { Tape } from './tape.js';
import type { Answer } from './temporal/events.js';
import type { Execution } from './temporal/execution.js';

const ACTS = [
  'nothing',
  'retry',
  'retry by a machine',
  'retry by the prober',
  'resolve: retry',
  'resolve: skip',
  'resolve: compensate',
  'cancel',
  'cancel by the API',
  'cancel by the API, and its saga is not told',
  'cancel the workflow',
  'a worker is killed',
  'a worker falls asleep',
  'a worker forgets',
] as const;
type Act = (typeof ACTS)[number];

/** From the instant of a commit to beyond the deadline. */
const WHEN_MS = [
  1, 3, 6, 12, 40, 300, 4_000, 6_000, 20_000, 70_000, 125_000, 400_000, 1_500_000, 3_590_000, 3_610_000,
] as const;
const ACTS_MAX = 5;
const TAKE_BACK = ['cancel by the API', 'cancel', 'resolve: compensate', 'nothing'] as const;
const LOSE_WORKER = ['a worker falls asleep', 'a worker is killed', 'nothing'] as const;
const AMID_A_CHARGE_MS = [6, 300, 1_400, 3_000, 6_000] as const;

export type Decided = { id: string; what: string; answer: Answer | 'aborted' | undefined };
/** What people can reach. */
export type Stage = {
  clock: Clock;
  tape: Tape;
  /** One activity fails until somebody does something about it. */
  isInTrouble: boolean;
  /** Charges arrive late. */
  isLate: boolean;
  /** Those that are open. */
  sagas(): Execution[];
  /** The API writes a cancellation into the order's row. */
  requestCancellation(reason: 'CANCELLED_BY_CUSTOMER' | 'OPERATOR'): void;
  /** Whoever vouches for an undo has done it. */
  doByHand(): void;
  loseWorkers(how: 'killed' | 'asleep' | 'forgotten'): void;
  told(what: string): void;
};

export class People {
  readonly #stage: Stage;
  readonly decisions: Decided[] = [];

  constructor(stage: Stage) {
    this.#stage = stage;
    const { tape, clock } = stage;
    for (let acts = tape.pick(ACTS_MAX + 1); acts > 0; acts--) {
      const act = tape.oneOf(ACTS);
      const ms = tape.oneOf(WHEN_MS);
      if (act !== 'nothing') clock.in(ms, () => this.act(act));
    }
    if (stage.isLate) {
      // Its worker is lost, and the order taken back, while a charge is on its way.
      const ms = tape.oneOf(AMID_A_CHARGE_MS);
      for (const [acts, laterMs] of [[LOSE_WORKER, 0] as const, [TAKE_BACK, tape.oneOf([1, 900, 6_000])] as const]) {
        const act = tape.oneOf(acts);
        clock.in(ms + laterMs, () => this.act(act));
      }
    }
    if (!stage.isInTrouble) return;
    // Somebody takes the confirmed order back, so that undos come to their turn; and somebody sees to what is stuck.
    if (tape.chance(500)) clock.in(50, () => this.act('cancel by the API'));
    const remedy = tape.oneOf(['retry', 'resolve: retry', 'resolve: skip', 'retry by the prober'] as const);
    const ms = tape.oneOf([7_000, 140_000, 500_000]);
    for (const again of [0, 400]) clock.in(ms + again, () => this.act(remedy));
  }

  act(act: Act): void {
    const stage = this.#stage;
    const saga = stage.sagas().at(-1);
    stage.told(act);
    switch (act) {
      case 'retry':
        saga?.signal(RETRY_SIGNAL, []);
        return;
      case 'retry by a machine':
        saga?.signal(RETRY_SIGNAL, [BY_MACHINE]);
        return;
      case 'retry by the prober':
        saga?.signal(RETRY_SIGNAL, [BY_PROBER]);
        return;
      case 'resolve: retry':
        this.resolve(saga, 'retry');
        return;
      case 'resolve: skip':
        this.resolve(saga, 'skip');
        return;
      case 'resolve: compensate':
        this.resolve(saga, 'compensate');
        return;
      case 'cancel':
        this.#update(saga, CANCEL_UPDATE, 'cancel', { reason: 'changed my mind', requestedBy: 'cus_42' });
        return;
      case 'cancel by the API':
        stage.requestCancellation('CANCELLED_BY_CUSTOMER');
        saga?.signal(RETRY_SIGNAL, [BY_MACHINE]);
        return;
      case 'cancel by the API, and its saga is not told':
        stage.requestCancellation('CANCELLED_BY_CUSTOMER');
        return;
      case 'cancel the workflow':
        saga?.requestCancel();
        return;
      case 'a worker is killed':
        stage.loseWorkers('killed');
        return;
      case 'a worker falls asleep':
        stage.loseWorkers('asleep');
        return;
      case 'a worker forgets':
        stage.loseWorkers('forgotten');
        return;
      case 'nothing':
        return;
      default:
        throw new Error(`Bug! Unhandled act "${act satisfies never}"`);
    }
  }

  resolve(saga: Execution | undefined, action: 'retry' | 'skip' | 'compensate'): void {
    if (saga && action === 'skip') this.#stage.doByHand();
    this.#update(saga, RESOLVE_UPDATE, `resolve: ${action}`, {
      action,
      operator: 'op-7',
      reason: 'as the runbook says',
    });
  }

  #update(saga: Execution | undefined, name: string, what: string, input: unknown): void {
    if (!saga) return;
    const decided: Decided = { id: `update-${this.decisions.length + 1}`, what, answer: undefined };
    this.decisions.push(decided);
    saga.update(decided.id, name, input, (answer) => {
      decided.answer = answer;
      this.#stage.told(`${what} is answered: ${said(answer)}`);
    });
  }
}

export const said = (answer: Answer | 'aborted'): string =>
  answer === 'aborted' ? 'the saga had ended' : 'success' in answer ? 'taken' : `refused, ${typeOf(answer)}`;
export const typeOf = (answer: Answer | 'aborted' | undefined): string | undefined =>
  answer !== undefined && answer !== 'aborted' && 'failure' in answer
    ? answer.failure.applicationFailureInfo?.type
    : undefined;
