/**
 * A process's health: alive = it answers; ready = each role that runs in it can do that role's own work. Never asks for
 * another role's: a missing worker must not take an API out of its balancer. Details are for the readers of the metrics port.
 */
import { createCachedRead } from './cached-read.js';

export type Readiness = { ready: boolean; [detail: string]: boolean | string };
export type ReadinessCheck = () => Promise<Readiness>;

export type Health = {
  /** @param check is asked once a second at most; late or failed = not ready */
  add(role: string, check: ReadinessCheck): void;
  read(): Promise<{ ready: boolean; roles: Record<string, Readiness> }>;
};

/** A role answers sooner by itself; one that does not is not ready, and holds up no answer for the others. */
const CHECK_LIMIT_MS = 2_000;
/** However often it is asked, each role is asked this often; while it is not ready more often, since its balancer waits for it. */
const FRESH_MS = { ready: 1_000, notReady: 100 };

/** @param expected roles that this process is to run: until each has said how it stands, the process is not ready */
export function createHealth(expected: readonly string[]): Health {
  const checks = new Map<string, ReadinessCheck>();
  return {
    add: (role, check) =>
      void checks.set(
        role,
        createCachedRead<Readiness>({
          freshMs: ({ ready }) => (ready ? FRESH_MS.ready : FRESH_MS.notReady),
          limitMs: CHECK_LIMIT_MS,
          read: check,
          otherwise: (err) => ({ ready: false, [err === undefined ? 'late' : 'failed']: true }),
        }),
      ),
    read: async () => {
      const answers = await Promise.all(
        expected.map(async (role): Promise<[string, Readiness]> => {
          const check = checks.get(role);
          return [role, check ? await check() : { ready: false, starting: true }];
        }),
      );
      return { ready: answers.every(([, { ready }]) => ready), roles: Object.fromEntries(answers) };
    },
  };
}
