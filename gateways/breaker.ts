/**
 * The circuit breaker before the gateway, one per process. It opens when the gateway does not answer at all; any answer,
 * a 503 as well, shows that it is there and is left to the caller. While it is open no request is made: the caller gets a
 * `GatewayUnknown` at once with how long to wait, which becomes its step's next retry delay. It decides nothing about money.
 */
import { type CircuitBreakerPolicy, CircuitState, circuitBreaker, DelegateBackoff, handleWhen } from 'cockatiel';
import type { Logger } from 'pino';
import { type Gateway, GatewayUnknown } from './payments.js';

/**
 * Requests without an answer, and without any answer in between, after which it opens. One order counts once, however
 * often it tries, unless the connection is refused outright: a charge that hangs must not keep others from theirs. Five,
 * since at the step's own retry rate one order alone needs 8 s to be refused five times, and a hiccup is over by then.
 */
const OPENS_AFTER = 5;
/** First pause before a probe: most outages are a restart, and a probe costs one request. */
const FIRST_PAUSE_MS = 1_000;
/** Pauses double up to this: a gateway that is back is noticed within 10 s, and a dead one is asked 6 times a minute per process. */
const LONGEST_PAUSE_MS = 10_000;

export type BreakerState = 'closed' | 'open' | 'half-open';

/**
 * @param now milliseconds of a clock that never jumps
 * @returns the same gateway behind a breaker of its own, and how that breaker stands
 */
export function protectGateway(
  gateway: Gateway,
  logger: Logger,
  now: () => number = () => performance.now(),
): Gateway & { breakerState(): BreakerState } {
  const breaker = createBreaker(logger, now);
  return {
    charge: (request) => breaker.call(request.due.orderId, () => gateway.charge(request)),
    settleOpenCharges: (lookUp) => breaker.call(lookUp.due.orderId, () => gateway.settleOpenCharges(lookUp)),
    refund: (request) => breaker.call(request.due.orderId, () => gateway.refund(request)),
    listCharges: (request) => breaker.call('the list', () => gateway.listCharges(request)),
    listRefunds: (request) => breaker.call('the list', () => gateway.listRefunds(request)),
    listDisputes: (request) => breaker.call('the list', () => gateway.listDisputes(request)),
    findCharges: (orderId) => breaker.call(orderId, () => gateway.findCharges(orderId)),
    readCharge: (reference) => breaker.call(reference, () => gateway.readCharge(reference)),
    readRefunds: (reference) => breaker.call(reference, () => gateway.readRefunds(reference)),
    readDisputes: (reference) => breaker.call(reference, () => gateway.readDisputes(reference)),
    callOff: (reference) => breaker.call(reference, () => gateway.callOff(reference)),
    nowMs: gateway.nowMs,
    breakerState: breaker.state,
  };
}

function createBreaker(logger: Logger, now: () => number) {
  /** What has gone unanswered since the last answer to any caller. */
  const unanswered = new Set<string | symbol>();
  let probeAt = 0;
  const policy = circuitBreaker(
    handleWhen((err) => err instanceof GatewayUnknown && err.noAnswer !== undefined),
    {
      breaker: { state: undefined, success: () => undefined, failure: () => unanswered.size >= OPENS_AFTER },
      halfOpenAfter: new DelegateBackoff(({ attempt }) => {
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
        probeAt = now() + pauseMs;
        // The library counts by the wall clock, which may jump by hours; the pause is kept by `refuseWhileOpen`.
        return Number.NEGATIVE_INFINITY;
      }),
    },
  );
  logChanges(policy, logger, () => probeAt - now());

  const refuseWhileOpen = () => {
    // During a probe too: a caller that waited for it here could be overtaken by the timeout of its own attempt.
    const probing = policy.state === CircuitState.HalfOpen;
    if (policy.state === CircuitState.Closed || (!probing && now() >= probeAt)) return;
    const untilProbe = probing ? FIRST_PAUSE_MS : probeAt - now();
    throw new GatewayUnknown('The payment gateway does not answer; not asked again before its next probe', {
      // Spread out: all refused callers would otherwise come back in the moment of the probe.
      retryAfterMs: Math.ceil(untilProbe * (1 + Math.random() / 2)),
    });
  };
  const counted = async <T>(subject: string, ask: () => Promise<T>): Promise<T> => {
    try {
      const answer = await ask();
      unanswered.clear();
      return answer;
    } catch (err) {
      const noAnswer = err instanceof GatewayUnknown ? err.noAnswer : undefined;
      if (noAnswer === undefined) unanswered.clear();
      else unanswered.add(noAnswer === 'refused' ? Symbol(subject) : subject);
      throw err;
    }
  };
  return {
    call: async <T>(subject: string, ask: () => Promise<T>): Promise<T> => {
      refuseWhileOpen();
      return policy.execute(() => counted(subject, ask));
    },
    state: () => STATES[policy.state],
  };
}

const STATES: Record<CircuitState, BreakerState> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Isolated]: 'open',
};

function logChanges(policy: CircuitBreakerPolicy, logger: Logger, untilProbeMs: () => number): void {
  let isOut = false;
  policy.onBreak(() => {
    const fields = { breaker: 'open', probeInMs: Math.round(untilProbeMs()) };
    // Every failed probe opens it again; an outage is logged once.
    if (isOut) logger.debug(fields, 'the payment gateway still does not answer');
    else logger.warn(fields, 'the payment gateway does not answer: asking it no more but for a probe');
    isOut = true;
  });
  policy.onHalfOpen(() => logger.debug({ breaker: 'half-open' }, 'probing the payment gateway'));
  policy.onReset(() => {
    isOut = false;
    logger.info({ breaker: 'closed' }, 'the payment gateway answers again');
  });
}
