/** Which of the checks follow from another: who reads the table begins with the cause, and is not sent after what it entails. */
import type { Wait } from '../../sagas/waits.js';
import { type Check, warn } from './checks.js';

/** Of each cause what it brings with it, once it has failed. */
const ENTAILS: Record<string, readonly string[]> = {
  database: ['probe order', 'orders without a saga', 'outbox', 'destinations'],
};
/** What a probe's saga asks before it can end: its undo looks up whether money was taken. */
const NEEDED_BY_PROBE = ['gateway', 'account at the gateway'];

/** @returns the checks, with those that have failed because of another saying so before anything else */
export const withCauses = (checks: Check[]): Check[] =>
  checks.map((one) => {
    const cause = checks.find(({ name, status }) => status === 'fail' && ENTAILS[name]?.includes(one.name));
    const isEntailed = cause !== undefined && one.status === 'fail';
    return isEntailed ? { ...one, detail: `follows from: ${cause.name}, mend that first (${one.detail})` } : one;
  });

/** @returns why no probe need be sent: it would wait for what is known to be away; undefined = send one */
export function whyNoProbe(checks: Check[]): string | undefined {
  const failed = checks.filter(({ name, status }) => status === 'fail' && NEEDED_BY_PROBE.includes(name));
  if (failed.length === 0) return undefined;
  return `follows from: ${failed.map(({ name }) => name).join(', ')}; its saga would wait for that`;
}

/** The operator's key may be good while the workers' is not. @param lastErrors of sagas that are stuck */
export function withRefusedKey(gateway: Check, lastErrors: readonly (string | null)[]): Check {
  const refused = lastErrors.filter((error) => error !== null && /\banswered 40[13]\b/.test(error));
  if (gateway.status !== 'ok' || refused.length === 0) return gateway;
  const many = refused.length === 1 ? 'a saga has parked' : `${refused.length} sagas have parked`;
  return {
    name: gateway.name,
    ...warn(
      `${gateway.detail} to the key that is known here, and ${many} by "${refused[0]}": STRIPE_API_KEY of the workers is refused; set it and restart them`,
    ),
  };
}

/** @param marked the step and failure as the saga marks itself, once it has failed for long */
export function whereItWaits(wait: Wait, marked: { step?: string | undefined; failure?: string | undefined }): string {
  const step = wait.step ?? marked.step;
  if (wait.lastError !== null) return `its saga waits at ${step}: ${wait.lastError}`;
  if (marked.failure !== undefined) return `its saga is parked at ${step}: ${marked.failure}`;
  if (wait.waitsFor === 'worker') return `${step ?? 'its saga'} waits for a worker, and no worker takes it`;
  return `${step ?? 'its saga'} is under way`;
}
