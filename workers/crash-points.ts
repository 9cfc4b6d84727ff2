/**
 * Crash points: the moments of a step at which the death, the sleep or an error of its worker leaves something different
 * behind. A worker that is under test passes all of them; any other is made without them (service/main).
 *
 * | moment           | what is behind it                                              | what is not            |
 * |------------------|----------------------------------------------------------------|------------------------|
 * | `before-call`    | nothing                                                        | the step               |
 * | `before-gateway` | the look at the order's state                                  | the gateway's movement |
 * | `after-gateway`  | the money has moved                                            | our record of it       |
 * | `before-commit`  | the statement's effect, in a transaction that is still open    | its commit             |
 * | `before-report`  | everything                                                     | Temporal's knowing it  |
 *
 * A step that commits more than once passes `before-commit-2` and so on.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { STEPS, type StepName, UNDOS, type UndoName } from '../contracts/plan.js';
import type { SagaActivities } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import type { PaymentGateway } from '../gateways/payments.js';
import type { DatabaseClient } from '../runtime/database.js';
import type { Failpoints } from '../runtime/failpoints.js';
import { createActivities } from './worker.js';

const COMMITTING = ['before-call', 'before-commit', 'before-report'] as const;

/** The moments that each step and each undo passes, in their order. */
export const CRASH_POINTS: Record<StepName | UndoName, readonly string[]> = {
  reserveInventory: COMMITTING,
  chargePayment: ['before-call', 'before-gateway', 'after-gateway', 'before-commit', 'before-report'],
  confirmOrder: COMMITTING,
  refundPayment: [
    'before-call',
    'before-commit',
    'before-gateway',
    'after-gateway',
    'before-commit-2',
    'before-report',
  ],
  releaseInventory: COMMITTING,
  cancelOrder: COMMITTING,
};

type Passing = { step: StepName | UndoName; orderId: string; commits: number };

/** The activities of a worker, made so that each step passes its crash points. */
export function createCrashingActivities(deps: {
  db: DatabaseClient;
  gateway: PaymentGateway;
  failpoints: Failpoints;
}): SagaActivities {
  const passing = new AsyncLocalStorage<Passing>();
  const pass = (moment: string): void => {
    const now = passing.getStore();
    if (now) deps.failpoints.at(`${now.step}.${moment}`, now.orderId);
  };
  const passCommit = (): void => {
    const now = passing.getStore();
    if (now) pass(++now.commits === 1 ? 'before-commit' : `before-commit-${now.commits}`);
  };
  const real = createActivities({ db: committing(deps.db, passCommit), gateway: asking(deps.gateway, pass) });
  const steps = [...STEPS, ...UNDOS].map((step) => [
    step,
    (input: { orderId: string }) =>
      passing.run({ step, orderId: input.orderId, commits: 0 }, async () => {
        try {
          pass('before-call');
          const result = await real[step](input);
          pass('before-report');
          return result;
        } finally {
          deps.failpoints.end(input.orderId);
        }
      }),
  ]);
  return { ...real, ...Object.fromEntries(steps) };
}

/** Our statements commit by themselves; here each has a transaction of its own, which can be left open once it has written. */
const committing = (db: DatabaseClient, passCommit: () => void): Database =>
  new Proxy(db, {
    get: (target, key) => {
      if (key !== '$queryRaw' && key !== '$executeRaw') return Reflect.get(target, key);
      return (...statement: Parameters<Database['$queryRaw']>) =>
        target.$transaction(async (tx) => {
          const answer = await tx[key](...statement);
          if (await hasWritten(tx)) passCommit();
          return answer;
        });
    },
  });

/** What has only read leaves nothing behind that a commit could keep. */
async function hasWritten(tx: Database): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ written: boolean }[]>`
    SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS written`;
  return row?.written === true;
}

const asking = (gateway: PaymentGateway, pass: (moment: string) => void): PaymentGateway => ({
  ...gateway,
  charge: async (request) => {
    pass('before-gateway');
    const answer = await gateway.charge(request);
    pass('after-gateway');
    return answer;
  },
  refund: async (...request) => {
    pass('before-gateway');
    const reference = await gateway.refund(...request);
    pass('after-gateway');
    return reference;
  },
});
