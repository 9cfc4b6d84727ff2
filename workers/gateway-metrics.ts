/** What is asked of the payment gateway, and what came of it: counted between the circuit breaker and the adapter. */
import { GatewayMismatch, GatewayUnknown, type Gateway } from '../gateways/payments.js';
import { gatewayDuration, gatewayRequests } from './metrics.js';

type Call = Exclude<keyof Gateway, 'nowMs'>;

/** Three kinds of calls have a duration of their own; all but two of them read. */
const KINDS: Record<Call, 'charge' | 'refund' | 'read'> = {
  charge: 'charge',
  refund: 'refund',
  settleOpenCharges: 'read',
  listCharges: 'read',
  listRefunds: 'read',
  listDisputes: 'read',
  findCharges: 'read',
  readCharge: 'read',
  readRefunds: 'read',
  readDisputes: 'read',
  callOff: 'refund',
};

/** @returns the same gateway, counted */
export function countGateway<G extends Gateway>(gateway: G): G {
  const counted = Object.entries(KINDS).map(([call, kind]) => {
    const ask = (gateway[call as Call] as (...request: unknown[]) => Promise<unknown>).bind(gateway);
    const duration = gatewayDuration.labels({ call: kind });
    return [
      call,
      async (...request: unknown[]) => {
        const began = performance.now();
        try {
          const answer = await ask(...request);
          gatewayRequests.inc({ call, outcome: outcomeOf(answer) });
          return answer;
        } catch (err) {
          gatewayRequests.inc({ call, outcome: failureOf(err) });
          throw err;
        } finally {
          duration.observe((performance.now() - began) / 1_000);
        }
      },
    ];
  });
  return { ...gateway, ...Object.fromEntries(counted) };
}

const OUTCOMES = new Set(['charged', 'declined', 'done', 'failed', 'key-spent']);

function outcomeOf(answer: unknown): string {
  const { outcome } = (typeof answer === 'object' && answer !== null ? answer : {}) as { outcome?: unknown };
  return typeof outcome === 'string' && OUTCOMES.has(outcome) ? outcome : 'answered';
}

/** `no-answer` is what opens the circuit; `unknown` was answered, with neither a yes nor a no. */
function failureOf(err: unknown): string {
  if (err instanceof GatewayMismatch) return 'mismatch';
  if (!(err instanceof GatewayUnknown)) return 'error';
  return err.noAnswer === undefined ? 'unknown' : 'no-answer';
}
