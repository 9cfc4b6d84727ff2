/** Whether a build may go on getting sagas: its own failures, beside those that the build before it has at the same time. */

export type Census = {
  /** Sagas that began on the build since the rollout did. */
  begun: number;
  /** Of these: have come to their own end. One that is under way proves nothing yet. */
  ended: number;
  /** Of these: parked, ended from outside, or failing just now. */
  failing: number;
  /** How many of what, e.g. `{ 'chargePayment fails': 3 }`. */
  why: Record<string, number>;
};
export type GateLimits = {
  /** A build of which more of its sagas fail is taken back. */
  failingPercentMax: number;
  /** No step is passed before so many sagas of the build have come to their end. */
  sagasLeast: number;
};
/** - `well` - `failing`: back - `unproved`: too few sagas, or some fail as they do on the build before: wait */
export type Verdict = 'well' | 'failing' | 'unproved';

/** One or two failing sagas are an accident on any build. */
const FAILING_LEAST = 3;

/** What fails on both builds, as when the gateway is away, is no fault of the new one: the rollout waits until it is over. */
export function judge(candidate: Census, before: Census, { failingPercentMax, sagasLeast }: GateLimits): Verdict {
  const percent = percentOf(candidate);
  if (candidate.failing >= FAILING_LEAST && percent > percentOf(before) + failingPercentMax) return 'failing';
  return candidate.ended >= sagasLeast && percent <= failingPercentMax ? 'well' : 'unproved';
}

export const percentOf = ({ ended, failing }: Census): number =>
  failing === 0 ? 0 : (100 * failing) / (ended + failing);
