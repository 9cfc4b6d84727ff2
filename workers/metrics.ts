/** What a worker shows. Each has a circuit breaker of its own. */
import { Gauge } from 'prom-client';
import { show } from '../runtime/metrics.js';

const STATES = ['closed', 'half-open', 'open'] as const;

/** @param state how the circuit to the payment gateway stands now */
export function exposeBreaker(state: () => (typeof STATES)[number]): void {
  const breaker = new Gauge({
    name: 'order_saga_payment_breaker_state',
    help: '1 for the state that the circuit to the payment gateway is in, else 0',
    labelNames: ['state'],
    registers: [],
    collect() {
      for (const each of STATES) this.set({ state: each }, state() === each ? 1 : 0);
    },
  });
  show([breaker]);
}
