/** The functions of domain/ that activities call, over the at.ledger. */
import { HoldingLost, type Ledger, type Run } from './ledger.js';

/** Carries out one statement: at some time, and perhaps without an answer. */
export type Statement = (name: string, work: () => unknown) => Promise<unknown>;

export type RefundState = { no: number; failures: number; allowed: number; word: string | undefined };
/** The one that is simulated now: the functions are loaded once, for all. */
export type World = { ledger: Ledger; refunds: Map<string, RefundState> };
type OfCharge = { reference: string };
const ALLOWED = 2;

type Modules = Record<string, Record<string, unknown>>;

export function domainOver(at: World, statement: Statement): Modules {
  return {
    'domain/database.js': {
      isNotNow: (err: { isNotNow?: true }) => err.isNotNow === true,
      isLockTimeout: (err: { isLocked?: true }) => err.isLocked === true,
    },
    'domain/holdings.js': { HoldingLost },
    'domain/brakes.js': { claimSpending: async () => true, returnSpending: async () => undefined }, // none is engaged here
    ...ofOrders(at, statement),
    ...ofPayments(at, statement),
    'domain/refunds.js': ofRefunds(at, statement),
  };
}

const ofOrders = (at: World, statement: Statement): Modules => ({
  'domain/inventory.js': {
    reserveInventory: (_: unknown, __: string, run: Run) => statement('reserve', () => at.ledger.reserve(run)),
    releaseInventory: (_: unknown, __: string, run: Run) => statement('release', () => at.ledger.release(run)),
  },
  'domain/confirmation.js': {
    confirmOrder: (_: unknown, __: string, run: Run) => statement('confirm', () => at.ledger.confirmOrder(run)),
    finishOrder: () => statement('finish', () => undefined),
  },
  'domain/orders.js': {
    beginUnwinding: (_: unknown, __: string, { reason }: { reason: 'OPERATOR' }) =>
      statement('begin unwinding', () => at.ledger.beginUnwinding(reason)),
    cancelOrder: (_: unknown, __: string, run: Run) => statement('cancel', () => at.ledger.cancelOrder(run)),
  },
  'domain/saga-log.js': {
    recordDecision: (_: unknown, { id }: { id: string }) =>
      statement('record decision', () => void at.ledger.decisions.add(id)),
  },
});

const ofPayments = (at: World, statement: Statement): Modules => ({
  'domain/finding-closures.js': {
    readUnmarkedDecisions: () => statement('read decisions', () => ({ vouchedFor: [], disowned: [] })),
  },
  'domain/charge-attempts.js': {
    noteFirstAttempt: (_: unknown, __: string, began: Date) =>
      statement(
        'note attempt',
        () => void at.ledger.attempts.push({ began: began.getTime(), ended: at.ledger.readPaymentDue().now.getTime() }),
      ),
    beginAttempt: () =>
      statement(
        'begin attempt',
        () => at.ledger.attempts.push({ began: at.ledger.readPaymentDue().now.getTime(), ended: undefined }) - 1,
      ),
    endAttempt: (_: unknown, id: number) =>
      statement('end attempt', () => {
        const attempt = at.ledger.attempts[id];
        if (attempt) attempt.ended = at.ledger.readPaymentDue().now.getTime();
      }),
    keepLookUpPlace: () => statement('keep place', () => undefined),
    readAttempts: () => statement('read attempts', () => at.ledger.readAttempts()),
  },
  'domain/payments.js': {
    readPaymentDue: () => statement('read due', () => at.ledger.readPaymentDue()),
    recordCharge: (_: unknown, __: string, reference: string | null, run: Run, passing: { confirm?: boolean }) =>
      statement('record charge', () => at.ledger.recordCharge(reference, run, passing)),
    recordDecline: () => statement('record decline', () => at.ledger.recordDecline()),
    recordNothingToRefund: () => statement('nothing to refund', () => at.ledger.recordNothingToRefund()),
    recordRefund: (
      _: unknown,
      __: string,
      refunded: Parameters<Ledger['recordRefund']>[0],
      run: Run = { attempts: 1 },
    ) => statement('record refund', () => at.ledger.recordRefund(refunded, run)),
    shutPayment: () => statement('shut payment', () => at.ledger.shutPayment()),
  },
});

function ofRefunds(at: World, statement: Statement) {
  const stateOf = ({ reference }: OfCharge): RefundState => {
    const states = at.refunds;
    const known = states.get(reference) ?? { no: 0, failures: 0, allowed: ALLOWED, word: undefined };
    states.set(reference, known);
    return known;
  };
  return {
    readRefundState: (_: unknown, charge: OfCharge) =>
      statement('read refunds', () => ({ ...stateOf(charge), installationId: 'inst-1' })),
    spendRefundKey: (_: unknown, charge: OfCharge, no: number, how: { hasFailed: boolean; isForOperator: boolean }) =>
      statement('spend key', () => {
        const state = stateOf(charge);
        if (state.no !== no) return;
        state.no++;
        state.failures = Math.max(state.failures + (how.hasFailed ? 1 : 0), how.isForOperator ? state.allowed : 0);
      }),
    allowRefund: (_: unknown, charge: OfCharge, word: string) =>
      statement('allow refund', () => {
        const state = stateOf(charge);
        if (state.word === word) return;
        Object.assign(state, { word, allowed: Math.max(state.allowed, state.failures + 1) });
      }),
  };
}
