/** What a worker shows. Each has a circuit breaker of its own, and its own view of the gateway's account. */
import { Gauge } from 'prom-client';
import { show } from '../runtime/metrics.js';
import type { AccountState } from './account.js';

const STATES = ['closed', 'half-open', 'open'] as const;

const ACCOUNT_STATES = ['ours', 'believed', 'held', 'unknown'] as const satisfies AccountState[];

/** @param state how the circuit to the payment gateway stands now */
export function exposeBreaker(state: () => (typeof STATES)[number]): void {
  const breaker = {
    name: 'order_saga_payment_breaker_state',
    help: '1 for the state that the circuit to the payment gateway is in, else 0',
  };
  show([stateGauge(breaker, STATES, state)]);
}

/** @param state whether money may move, as far as this process knows */
export function exposeAccount(state: () => AccountState): void {
  const account = {
    name: 'order_saga_payment_account_state',
    help: '1 for how this database stands with the payment account, else 0: money moves if ours or believed',
  };
  show([stateGauge(account, ACCOUNT_STATES, state)]);
}

function stateGauge<S extends string>(about: { name: string; help: string }, states: readonly S[], state: () => S) {
  return new Gauge({
    ...about,
    labelNames: ['state'],
    registers: [],
    collect() {
      const now = state();
      for (const each of states) this.set({ state: each }, now === each ? 1 : 0);
    },
  });
}
