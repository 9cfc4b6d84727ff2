/**
 * One simulated order: its saga, whoever meddles with it, and what goes wrong around it, from its acceptance until nothing is left to
 * happen; then all faults end, operators see to what is still stuck, and the invariants are held against what has become of it.
 */
import { PLAN_VERSION } from '../contracts/plan.js';
import { CANCEL_ORDER_SAGA, cancelOrderSagaId, ORDER_SAGA, orderSagaId } from '../contracts/ids.js';
import { Clock } from './clock.js';
import { checkAtTheEnd, checkOnTheWay, type Violation } from './invariants.js';
import { People } from './people.js';
import type { Product } from './product.js';
import { reachedAtTheEnd } from './reached.js';
import type { Tape } from './tape.js';
import { Execution } from './temporal/execution.js';
import type { Host } from './temporal/host.js';
import { replay } from './temporal/replay.js';
import { Faults } from './world/faults.js';
import { Gateway } from './world/gateway.js';
import { Ledger, ORDER_ID } from './world/ledger.js';
import type { Workers } from './world/workers.js';

const NOON = Date.UTC(2026, 0, 1, 12);
export const POLICY = { stepRetryBudgetMs: 120_000, sagaDeadlineMs: 3_600_000, compensationAttentionAfterMs: 60_000 };
/** Faults and meddling are over by then. */
const HEALED_AFTER_MS = 3 * 3_600_000;
/** Long enough for every pause between two tries of anything. */
const ROUND_MS = 300_000;
const ROUNDS_MAX = 40;
const STEPS_MAX = 20_000;

/** Changes to the world instead of to the code, for planted bugs. */
export type Planted = { gatewayForgetsKeys?: boolean };
export type Loaded = { product: Product; workers: Workers; planted?: Planted };
export type Line = { atMs: number; what: string };
export type Simulated = {
  violation: Violation | undefined;
  reached: Set<string>;
  /** What happened, for people; only if asked for. */
  story: Line[];
  executions: Execution[];
};

class Broken extends Error {
  constructor(readonly violation: Violation) {
    super(violation.how);
  }
}

/** Carries out the simulation that the tape says. */
export function simulate(loaded: Loaded, tape: Tape, { tells = false } = {}): Simulated {
  const simulation = new Simulation(loaded, tape, tells);
  let violation: Violation | undefined;
  try {
    simulation.run();
  } catch (err) {
    if (!(err instanceof Broken)) throw err;
    violation = err.violation;
  }
  for (const saga of simulation.executions) saga.dispose();
  const { reached, story, executions } = simulation;
  return { violation, reached, story, executions };
}

class Simulation {
  readonly #loaded: Loaded;
  readonly #tape: Tape;
  readonly #tells: boolean;
  readonly #clock = new Clock(NOON);
  readonly #faults: Faults;
  readonly #gateway: Gateway;
  readonly #ledger: Ledger;
  readonly #people: People;
  readonly #host: Host;
  readonly #anewAfter: number;
  readonly #pickUp: readonly number[];
  readonly #replaysAtTheEnd: boolean;
  readonly reached = new Set<string>();
  readonly story: Line[] = [];
  readonly executions: Execution[] = [];

  constructor(loaded: Loaded, tape: Tape, tells: boolean) {
    const clock = this.#clock;
    this.#loaded = loaded;
    this.#tape = tape;
    this.#tells = tells;
    this.#faults = new Faults(tape, clock);
    this.#gateway = new Gateway({
      clock,
      tape,
      faults: this.#faults,
      isForgetful: loaded.planted?.gatewayForgetsKeys ?? false,
    });
    this.#gateway.errors = loaded.workers.gatewayErrors;
    this.#gateway.reached = (what) => this.#reach(what);
    const quantity = 2;
    const { isLate } = this.#faults;
    this.#ledger = new Ledger(clock, {
      amount: isLate ? 4_900 : tape.oneOf([4_900, 4_900, 4_900, 4_900, 4_900, 0]),
      quantity,
      onHand: isLate ? 5 : tape.oneOf([5, 5, 5, 5, 2, 1]),
      isKnown: isLate || tape.oneOf([true, true, true, true, true, true, true, false]),
    });
    this.#anewAfter = tape.oneOf([10_000, 10_000, 120, 40]);
    this.#pickUp = tape.oneOf([[1], [1, 1, 30, 900]]);
    this.#replaysAtTheEnd = tape.oneOf([false, false, false, true]);
    loaded.workers.enter({
      ...{ clock, faults: this.#faults, gateway: this.#gateway, ledger: this.#ledger, refunds: new Map() },
      sleepMs: () => {
        this.#reach('a worker that slept goes on');
        return tape.oneOf([1_000, 20_000, 200_000, 1_500_000]);
      },
      looked: (step) => this.#tell(step),
    });
    this.#host = this.#makeHost();
    this.#begin('order');
    this.#people = new People({
      ...{ clock, tape, isInTrouble: this.#faults.inTrouble !== undefined, isLate: this.#faults.isLate },
      sagas: () => this.executions.filter(({ isClosed }) => !isClosed),
      requestCancellation: (reason) => this.#requestCancellation(reason),
      doByHand: () => {
        if (
          this.#open.some(
            ({ attributes, tries }) => attributes['SagaStep'] === 'refundPayment' || tries('refundPayment'),
          )
        )
          this.#gateway.giveBackByHand();
      },
      loseWorkers: (how) => {
        for (const saga of this.#open) saga.loseWorker(how);
      },
      told: (what) => this.#tell(what),
    });
  }

  get #open(): Execution[] {
    return this.executions.filter(({ isClosed }) => !isClosed);
  }

  #makeHost(): Host {
    const { product, workers } = this.#loaded;
    return {
      product,
      clock: this.#clock,
      attempt: (name, input, info, done) => {
        if (name === 'countTries') {
          const { activity } = input as { activity: string };
          const result = this.#open.map(({ tries }) => tries(activity)).find((tries) => tries !== null) ?? null;
          this.#clock.in(3, () => done({ result }));
          return { abandon: () => undefined };
        }
        this.#tell(`${name} begins (attempt ${info.attempt})`);
        return workers.attempt(name, input, info, (outcome) => {
          const how =
            'failure' in outcome ? `fails: ${outcome.failure.message}` : `answers ${JSON.stringify(outcome.result)}`;
          this.#tell(`${name} ${how}`);
          done(outcome);
        });
      },
      pickUpMs: () => (this.#faults.areOver || this.#pickUp.length === 1 ? 1 : this.#tape.oneOf(this.#pickUp)),
      reached: (what) => this.#reach(what),
      violated: (invariant, how) => {
        throw new Broken({ invariant, how });
      },
    };
  }

  #begin(kind: 'order' | 'cancellation'): void {
    const common = { orderId: ORDER_ID, policy: POLICY, generation: 3, planVersion: PLAN_VERSION };
    const start =
      kind === 'order'
        ? { workflowType: ORDER_SAGA, workflowId: orderSagaId(ORDER_ID), input: common }
        : {
            workflowType: CANCEL_ORDER_SAGA,
            workflowId: cancelOrderSagaId(ORDER_ID),
            input: { ...common, reason: this.#ledger.reason },
          };
    this.executions.push(new Execution(this.#host, start, this.#anewAfter));
  }

  #requestCancellation(reason: 'CANCELLED_BY_CUSTOMER' | 'OPERATOR'): void {
    const wasOpen = this.#ledger.isOpen;
    if (this.#ledger.requestCancellation(reason)) {
      this.#reach('a confirmed order is taken back');
      this.#begin('cancellation');
    } else if (wasOpen) this.#reach('a cancellation is written into the row alone');
  }

  run(): void {
    const { now } = this.#clock;
    let steps = 0;
    const goOn = (until: number) => {
      while (this.#clock.step(until)) {
        if (++steps > STEPS_MAX) throw new Broken({ invariant: 'always ends', how: `it goes round in circles` });
        this.#look();
      }
    };
    goOn(now + HEALED_AFTER_MS);
    this.#faults.areOver = true;
    this.#tell('all faults are over');
    for (let round = 0; this.#open.length > 0; round++) {
      if (round === ROUNDS_MAX)
        throw new Broken({ invariant: 'always ends', how: 'operators have decided, and it still runs' });
      this.#clock.now = Math.max(this.#clock.now, now + HEALED_AFTER_MS + round * ROUND_MS);
      this.#seeTo(round);
      goOn(now + HEALED_AFTER_MS + (round + 1) * ROUND_MS);
    }
    goOn(Number.POSITIVE_INFINITY);
    if (this.#replaysAtTheEnd) this.#replay();
    const end = { ledger: this.#ledger, gateway: this.#gateway, executions: this.executions, people: this.#people };
    this.#breakIf(checkAtTheEnd({ ...end, reached: (what) => this.#reach(what) }));
    for (const what of reachedAtTheEnd(end)) this.#reach(what);
  }

  /** What an operator does who works through the list of stuck sagas. */
  #seeTo(round: number): void {
    for (const saga of this.#open) {
      if (saga.attributes['SagaState'] !== 'NEEDS_ATTENTION') continue;
      if (round % 3 < 2) this.#people.resolve(saga, 'retry');
      else this.#people.resolve(saga, saga.attributes['SagaStep'] === 'refundPayment' ? 'skip' : 'compensate');
    }
  }

  #look(): void {
    this.#breakIf(
      checkOnTheWay({
        ...{ ledger: this.#ledger, gateway: this.#gateway, executions: this.executions, nowMs: this.#clock.now },
        deadlineMs: POLICY.sagaDeadlineMs,
        reached: (what) => this.#reach(what),
      }),
    );
  }

  /** The whole history, carried out once more. */
  #replay(): void {
    for (const { earlier, history } of this.executions)
      for (const run of [...earlier, history]) {
        try {
          replay(this.#loaded.product, run, { strictly: true }).core.dispose();
        } catch (err) {
          this.#breakIf({ invariant: 'replay', how: (err as Error).message });
        }
      }
  }

  #breakIf(violation: Violation | undefined): void {
    if (violation) throw new Broken(violation);
  }

  #reach(what: string): void {
    this.reached.add(what);
  }

  #tell(what: string): void {
    if (this.#tells) this.story.push({ atMs: this.#clock.now - NOON, what });
  }
}
