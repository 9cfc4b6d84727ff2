/**
 * Workers: they carry out the product's activities, each statement and each request of which is a step of its own. Between two of them a
 * worker may die, or sleep and go on later as if nothing had happened.
 */
import { ApplicationFailure } from '@temporalio/common';
import { REFUSAL } from '../../contracts/refusals.js';
import type { Activities, Product } from '../product.js';
import type { Outcome } from '../temporal/core.js';
import type { Failure } from '../temporal/events.js';
import type { Attempt, AttemptInfo } from '../temporal/host.js';
import type { Clock } from '../clock.js';
import { domainOver, type World } from './domain.js';
import type { Faults } from './faults.js';
import type { Gateway, GatewayErrors, LookedUp } from './gateway.js';
import type { StepOutcome } from './ledger.js';

type Running = Attempt & {
  name: string;
  isConfirming: boolean;
  isByHand: boolean;
  info: AttemptInfo;
  how: 'killed' | 'asleep' | undefined;
  /** It has taken money, and was told that the order is being unwound. */
  hasUnwanted: boolean;
  /** What the gateway last told it. */
  lookedUp: LookedUp | undefined;
  /** What it has come to in this very step. */
  outcome: Outcome | undefined;
  done: (outcome: Outcome) => void;
};
/** What workers work in. */
export type Site = World & {
  clock: Clock;
  faults: Faults;
  gateway: Gateway;
  /** How long a worker that is asleep sleeps. */
  sleepMs(): number;
  looked(step: string): void;
};

class DatabaseAway extends Error {
  override name = 'DatabaseAway';
  readonly isNotNow = true;
}
class RowLocked extends Error {
  override name = 'RowLocked';
  readonly isLocked = true;
}

export class Workers {
  readonly #product: Product;
  readonly #activities: Activities;
  readonly gatewayErrors: GatewayErrors;
  #site: Site | undefined;
  #current: Running | undefined;

  constructor(product: Product) {
    this.#product = product;
    const site = () => this.#site as Site;
    const at = {
      get ledger() {
        return site().ledger;
      },
      get refunds() {
        return site().refunds;
      },
    };
    const { create, gatewayErrors } = product.activities({
      domain: domainOver(at, (name, work) => this.#statement(name, work)),
      activityInfo: () => this.#current?.info,
      nowMs: () => site().clock.now,
    });
    this.gatewayErrors = gatewayErrors as GatewayErrors;
    const port = (name: 'charge' | 'settleOpenCharges' | 'refund') => (request: never) =>
      site()
        .gateway.port((what, ms, work) => this.#call(what, ms, work))
        [name](request);
    const gateway = { charge: port('charge'), settleOpenCharges: port('settleOpenCharges'), refund: port('refund') };
    this.#activities = Object.assign({}, ...Object.values(create).map((make) => make({ db: {}, gateway })));
  }

  /** From now on they work there. */
  enter(site: Site): void {
    this.#site = site;
    this.#current = undefined;
  }

  attempt(name: string, input: unknown, info: AttemptInfo, done: (outcome: Outcome) => void): Attempt {
    const running: Running = {
      name,
      isConfirming: (input as { confirm?: true }).confirm === true,
      isByHand: (input as { skippedBy?: string }).skippedBy !== undefined,
      info,
      done,
      how: undefined,
      hasUnwanted: false,
      lookedUp: undefined,
      outcome: undefined,
      abandon: (how) => {
        running.how ??= how;
      },
    };
    const activity = this.#activities[name];
    if (!activity) throw new Error(`Bug! No worker knows the activity ${name}`);
    this.#go(running, () => {
      this.#product.settled(activity(structuredClone(input)), (result, err) => {
        running.outcome = err === undefined ? { result: plain(result) } : { failure: failureOf(err) };
      });
    });
    return running;
  }

  /** One step of an attempt. Its end is told when the step is over: what follows from it is another one. */
  #go(running: Running, what: () => void): void {
    this.#current = running;
    this.#product.enter(what as (...args: never[]) => void);
    const { outcome } = running;
    running.outcome = undefined;
    if (running.hasUnwanted && isRefusal(outcome)) (this.#site as Site).gateway.leave();
    if (outcome && running.how === undefined) running.done(outcome);
  }

  #statement(name: string, work: () => unknown): Promise<unknown> {
    const { faults } = this.#site as Site;
    const running = this.#current as Running;
    return this.#call(name, faults.tookMs(), () => {
      if (faults.isAway('database')) throw new DatabaseAway('The database does not answer');
      const fault = faults.ofStatement(running);
      if (fault === 'not done') throw new DatabaseAway('The database does not answer');
      if (fault === 'locked') throw new RowLocked('A row is locked');
      (this.#site as Site).ledger.lookedUp = running.lookedUp;
      const result = work();
      if (name === 'record charge' && (result as StepOutcome).outcome === 'refused') running.hasUnwanted = true;
      if (fault === 'answer lost') throw new DatabaseAway('The connection broke');
      return result;
    });
  }

  #call(name: string, ms: number, work: () => unknown): Promise<unknown> {
    const site = this.#site as Site;
    const running = this.#current as Running;
    const { promise, resolve, reject } = this.#product.promise();
    const take = () => {
      if (running.how === 'killed') return;
      this.#go(running, () => {
        let settle: () => void;
        try {
          const value = work();
          if (name === 'look up') running.lookedUp = site.gateway.lookedUp;
          settle = () => resolve(value);
        } catch (err) {
          settle = () => reject(err);
        }
        site.looked(name);
        settle();
      });
    };
    site.clock.in(ms, () => {
      if (running.how === 'asleep') site.clock.in(site.sleepMs(), take);
      else take();
    });
    return promise;
  }
}

const isRefusal = (outcome: Outcome | undefined): boolean =>
  outcome !== undefined && 'failure' in outcome && outcome.failure.applicationFailureInfo?.type === REFUSAL;

const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

/** As a worker reports it. */
function failureOf(err: unknown): Failure {
  if (!(err instanceof ApplicationFailure)) {
    const { name, message } = err as Error;
    return { message, source: 'TypeScriptSDK', applicationFailureInfo: { type: name } };
  }
  const { message, type, nonRetryable, details, nextRetryDelay } = err;
  return {
    message,
    source: 'TypeScriptSDK',
    applicationFailureInfo: {
      type: type ?? '',
      ...(nonRetryable && { nonRetryable }),
      details: plain(details ?? []) as unknown[],
      ...(typeof nextRetryDelay === 'number' && { nextRetryDelayMs: nextRetryDelay }),
    },
  };
}
