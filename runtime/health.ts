/**
 * A process's health: alive = it answers; ready = each role that runs in it can do that role's own work. Never asks for
 * another role's: a missing worker must not take an API out of its balancer. Details are for the readers of the metrics port.
 */
export type Readiness = { ready: boolean; [detail: string]: boolean | string };
export type ReadinessCheck = () => Promise<Readiness>;

export type Health = {
  /** @param check answers within a second or so, and does not throw */
  add(role: string, check: ReadinessCheck): void;
  read(): Promise<{ ready: boolean; roles: Record<string, Readiness> }>;
};

/** @param expected roles that this process is to run: until each has said how it stands, the process is not ready */
export function createHealth(expected: readonly string[]): Health {
  const checks = new Map<string, ReadinessCheck>();
  return {
    add: (role, check) => void checks.set(role, check),
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
