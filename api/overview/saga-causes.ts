/** Stuck sagas as causes: those that look alike are one, and each says what mends it. */
import { CHARGING_HELD } from '../../contracts/brakes.js';
import { STEPS } from '../../contracts/plan.js';
import { TRANSIENT_FAILURES } from '../../contracts/saga.js';
import type { SagaPolicy } from '../../contracts/saga.js';
import type { LastError } from '../../domain/step-failures.js';
import { isKeyRefused, KEY_REFUSED } from '../../explanation/refused-key.js';
import { groupByFailure, type StuckSaga } from '../../domain/stuck-sagas.js';
import { ACTIVITY_PAUSED, NO_POLLERS, OPEN_TOO_LONG, WORKFLOW_TASK_FAILING } from '../../sagas/standstill.js';
import { NO_SAGA, NOT_STARTED } from '../../sagas/stuck.js';
import { statusOf } from './gateway-words.js';
import { type Cause, cause, RECENT_MS } from './cause.js';

type Told = { title: string; detail: string; severity?: Cause['severity'] };

const RESTART = 'Nothing was undone, and no worker works on them: `retry` begins each anew.';
/** What is known of a failure besides its name. */
const TOLD: Record<string, (step: string) => Told> = {
  DatabaseUnavailable: (step) => ({
    title: `${step} cannot write to Postgres`,
    detail: 'They go on by themselves once it can be written to.',
  }),
  Locked: (step) => ({ title: `${step} waits for a locked row`, detail: 'Find the transaction that holds it.' }),
  AccountHeld: (step) => ({
    title: `${step} is held: the gateway’s account does not know this database`,
    detail: 'They go on once it has been adopted: `ops adopt`.',
  }),
  TimeoutFailure: (step) => ({
    title: `Attempts at ${step} hang, or their worker has died`,
    detail: 'They are tried again once the gateway answers.',
  }),
  [CHARGING_HELD]: (step) => ({
    title: `${step} is held by a brake`,
    detail: 'Their deadlines stand still. They go on, the oldest first, when it lets go.',
    severity: 'warn',
  }),
  [NO_POLLERS]: () => ({
    title: 'No worker takes their tasks',
    detail: 'No worker runs, none of their build, or it is frozen. They go on as soon as one does.',
  }),
  [WORKFLOW_TASK_FAILING]: () => ({
    title: 'The sagas’ code fails in its worker',
    detail: 'A bug, or a release that does not fit what they have done: roll back.',
  }),
  [ACTIVITY_PAUSED]: (step) => ({
    title: `${step} is paused in Temporal`,
    detail: 'An operator has paused it, and only an operator lets it go on.',
  }),
  [OPEN_TOO_LONG]: () => ({
    title: 'They should have come to their end',
    detail: 'Look at one: its order explains it.',
  }),
  [NO_SAGA]: () => ({ title: 'Orders whose saga is gone', detail: RESTART }),
  [NOT_STARTED]: () => ({
    title: 'Orders whose saga was never started',
    detail: 'Does a relay run, and does it reach Temporal?',
  }),
  ...Object.fromEntries(
    ['FAILED', 'TERMINATED', 'TIMED_OUT', 'CANCELED'].map((how) => [
      how,
      () => ({ title: `Sagas were ended from outside: ${how}`, detail: RESTART }),
    ]),
  ),
};

const isStep = (step: string | null): boolean => STEPS.some((name) => name === step);

/** Of a gateway that is not away altogether, the last error says more than that. By how `gateways/stripe-errors` spells it. */
function gatewayTold(step: string | null, error: string | null): Told {
  const at = step ?? 'A step';
  if (isKeyRefused(error)) return refusedAt(step);
  const mended = 'They go on by themselves within 30 s of its mend.';
  const status = statusOf(error);
  if (status) return { title: `${at} fails: the payment gateway answers ${status}`, detail: mended };
  if (/\brefused the connection\b/.test(error ?? ''))
    return { title: `${at} is refused at once: nothing listens at the payment gateway’s address`, detail: mended };
  if (/\bmakes no sense\b|\banother charge\b/.test(error ?? ''))
    return { title: `${at} fails: the payment gateway’s answers make no sense`, detail: mended };
  const within = /\bdid not answer within (\d+ m?s)\b/.exec(error ?? '')?.[1];
  return {
    title: `${at} gets no answer from the payment gateway${within ? ` within ${within}` : ''}`,
    detail: 'They go on by themselves within 30 s of its return.',
  };
}

const refusedAt = (step: string | null): Told => ({
  title: `${step ?? 'A step'} is refused by the payment gateway: it does not take the workers’ key`,
  detail: `${KEY_REFUSED} Once a worker has the right key, they go on by themselves within 30 s.`,
});

const tell = (step: string | null, failure: string | null): Told =>
  (failure === null ? undefined : TOLD[failure]?.(step ?? 'a step')) ?? {
    title: `${step ?? 'A step'} needs an operator: ${failure ?? 'for a reason not known'}`,
    detail:
      step !== null && !isStep(step)
        ? 'It is tried again every minute, and succeeds only once the cause has gone.'
        : 'It is not tried again by itself.',
  };

const NOT_ASKED = /not asked again before its next probe/;

const isMendedByTime = (failure: string | null): boolean => failure !== null && failure in TRANSIENT_FAILURES;

/** Whether it unwinds at its deadline: only what is parked at a step does, and nothing that a brake holds. */
const unwinds = ({ state, status, step, failure }: StuckSaga): boolean =>
  state === 'NEEDS_ATTENTION' && status === 'PENDING' && isStep(step) && failure !== CHARGING_HELD;

/** Findings about orders whose sagas are stuck, by kind: they are told with the cause of most of those sagas. */
export type FindingsOfSagas = ReadonlyMap<string, { count: number; causeId: string }>;

export function findingsOfSagas(findings: { kind: string; orderId: string }[], sagas: StuckSaga[]): FindingsOfSagas {
  const causeIds = new Map(sagas.map(({ orderId, step, failure }) => [orderId, idOf(step, failure)]));
  const kinds = new Map<string, string[]>();
  for (const { kind, orderId } of findings)
    kinds.set(kind, [...(kinds.get(kind) ?? []), ...(causeIds.has(orderId) ? [causeIds.get(orderId) as string] : [])]);
  return new Map(
    [...kinds].map(([kind, ids]) => {
      const of = (id: string) => ids.filter((each) => each === id).length;
      const [causeId = ''] = ids.toSorted((a, b) => of(b) - of(a));
      return [kind, { count: ids.length, causeId }];
    }),
  );
}

const ofSagas = (step: string | null, failure: string | null): Cause['of'] => ({
  ...(step !== null && { step }),
  ...(failure !== null && { failure }),
});
const idOf = (step: string | null, failure: string | null): string =>
  ['sagas', ...Object.values(ofSagas(step, failure))].join('/');

/**
 * @param policy of today: a saga keeps that of its start
 * @param errors what their newest attempts were answered, the commonest first
 */
export function causesOfSagas(
  sagas: StuckSaga[],
  policy: SagaPolicy,
  errors: LastError[] = [],
  now = Date.now(),
): Cause[] {
  const members = new Map<string, StuckSaga[]>();
  for (const saga of sagas) {
    const key = `${saga.step}/${saga.failure}`;
    const list = members.get(key);
    if (list) list.push(saga);
    else members.set(key, [saga]);
  }
  return groupByFailure(sagas).map(({ step, failure, count, oldest, amounts }) => {
    const all = members.get(`${step}/${failure}`) ?? [];
    const first = all.filter(unwinds).reduce((least, { startedAt }) => (startedAt < least ? startedAt : least), '~');
    const isUndo = step !== null && !isStep(step) && isMendedByTime(failure);
    const ofStep = errors.filter((each) => each.step === step);
    // What a circuit that is open says, it says of what was answered before.
    const error = (ofStep.find(({ message }) => !NOT_ASKED.test(message)) ?? ofStep[0])?.message ?? null;
    const told = failure === 'GatewayUnknown' ? gatewayTold(step, error) : tell(step, failure);
    return cause({
      kind: 'sagas',
      ...told,
      detail: [
        told.detail,
        isUndo ? 'An undo is tried for ever: its order stays as it is until then.' : '',
        error === null ? '' : `The last error was: ${error}.`,
      ]
        .filter(Boolean)
        .join(' '),
      ...{ count, noun: 'saga', oldest, atStake: amounts },
      recent: all.filter(({ startedAt }) => now - Date.parse(startedAt) < RECENT_MS).length,
      unwindsAt: first === '~' ? null : new Date(Date.parse(first) + policy.sagaDeadlineMs).toISOString(),
      of: ofSagas(step, failure),
    });
  });
}
