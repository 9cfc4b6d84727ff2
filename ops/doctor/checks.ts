/** A check of `doctor`: one question about the service, and the answer in a line. It changes nothing, whatever it finds. */
import { sentenceOf } from '../../runtime/errors/facts.js';

/** `warn`: works, and wants to be looked at; `skipped`: was not asked, and `detail` says why. */
export const CHECK_STATUSES = ['ok', 'warn', 'fail', 'skipped'] as const;
export type CheckStatus = (typeof CHECK_STATUSES)[number];
export type Check = { name: string; status: CheckStatus; detail: string };
export type Finding = Omit<Check, 'name'>;

export const ok = (detail: string): Finding => ({ status: 'ok', detail });
export const warn = (detail: string): Finding => ({ status: 'warn', detail });
export const fail = (detail: string): Finding => ({ status: 'fail', detail });
export const skipped = (detail: string): Finding => ({ status: 'skipped', detail });

/** Longer than any neighbour may take; a person is waiting for the whole table. */
const CHECK_LIMIT_MS = 10_000;

/** @returns never throws: a check that cannot be made has failed, and says by what */
export async function check(name: string, ask: () => Promise<Finding>, limitMs = CHECK_LIMIT_MS): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => resolve(fail(`no answer within ${limitMs / 1_000} s`)), limitMs);
  });
  try {
    return { name, ...(await Promise.race([ask(), late])) };
  } catch (err) {
    return { name, ...fail(sentenceOf(err)) };
  } finally {
    clearTimeout(timer);
  }
}
