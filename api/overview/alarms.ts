/**
 * Which cause of the first screen tells what an alarm of deploy/prometheus tells: who looks at it while one is raised must not read that all
 * is calm. An alarm without a cause has the reason why nobody who looks at the facts can tell.
 */
import type { CauseKind } from './cause.js';

/** `kinds`: any of them is told while the alarm is raised. */
export type Counterpart = { kinds: readonly [CauseKind, ...CauseKind[]] } | { why: string };

const told = (...kinds: [CauseKind, ...CauseKind[]]): Counterpart => ({ kinds });
const untold = (why: string): Counterpart => ({ why });

const OF_PROCESSES = 'a figure of single processes, kept in their memory: only who scrapes all of them has it';
const OF_RATES = 'a rate over minutes of what has ended; what holds orders up now is a cause by itself';
const OF_AUDIT = 'the relay holds the chain against its anchor, and the finding in its memory: `ops doctor` reads it';

export const COUNTERPARTS: Readonly<Record<string, Counterpart>> = {
  SagasNeedAttention: told('sagas'),
  ManySagasParked: told('sagas', 'gateway', 'postgres'),
  NoWorker: told('sagas', 'workers'),
  NoPollers: told('workers', 'sagas'),
  BuildWithoutWorkers: told('sagas'),
  WorkflowTasksFail: told('sagas'),
  BrakeEngaged: told('brake'),
  OperationPaused: told('operation'),
  OrdersWithoutSaga: told('unstarted-orders'),
  PaymentCircuitOpen: told('sagas', 'gateway'),
  ReconciliationReported: told('findings', 'account'),
  RefundFailed: told('findings'),
  DestinationBehind: told('destination'),
  DestinationFarBehind: told('destination'),
  BacklogHigh: told('destination'),
  RelayLeasesLapsed: told('destination'),
  NoRelay: told('destination', 'unstarted-orders'),
  DeadLetters: told('dead-letters'),
  FeedHeldBack: told('feed'),
  FactsUnknown: told('postgres', 'temporal'),
  ErasureLate: told('erasures'),
  ErasureStalled: told('erasures'),
  InvariantViolated: told('invariant'),
  VerificationStalled: told('verification'),
  KeyStoreAway: untold(OF_PROCESSES),
  KeyStoreRefuses: untold(OF_PROCESSES),
  UnexpectedErrors: untold(OF_PROCESSES),
  PoolExhausted: untold(OF_PROCESSES),
  EventLoopLate: untold(OF_PROCESSES),
  RoleMissing: untold(
    'which processes should run is known to who deploys them; what a missing one leaves undone is a cause',
  ),
  InstanceDown: untold(
    'which processes should run is known to who scrapes them; what a missing one leaves undone is a cause',
  ),
  DiskNearlyFull: untold('a figure of the machine'),
  AuditChainBroken: untold(OF_AUDIT),
  AuditUnchecked: untold(OF_AUDIT),
  OrdersSlow: untold(OF_RATES),
  OrdersFail: untold(OF_RATES),
  PostLatencyHigh: untold(OF_RATES),
  CompensationRateHigh: untold(OF_RATES),
  GatewayFails: untold(OF_RATES),
  ErrorBudgetBurnsFast: untold(OF_RATES),
  ErrorBudgetBurnsSlowly: untold(OF_RATES),
};
