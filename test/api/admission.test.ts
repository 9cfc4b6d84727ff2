/** Orders are accepted a few at a time while sagas wait, all at once otherwise, and first come, first served. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { createAdmission } from '../../api/load/admission.js';
import { eventually } from '../support/conditions.js';

describe('admission', () => {
  let isBehind: boolean;
  let admitted: number[];
  let ends: Map<number, () => void>;
  beforeEach(() => {
    isBehind = true;
    admitted = [];
    ends = new Map();
  });

  /** A hundred who come one after the other. */
  function crowd(): Promise<number[]> {
    const admit = createAdmission(() => isBehind);
    const one = (n: number) =>
      admit(
        () => false,
        () => {
          admitted.push(n);
          return new Promise<number>((resolve) => ends.set(n, () => resolve(n)));
        },
      );
    return Promise.all(Array.from({ length: 100 }, (_, n) => one(n)));
  }
  const endOf = async (n: number) => {
    await eventually(`${n} is admitted`, () => ends.has(n));
    ends.get(n)?.();
  };
  const everyone = Array.from({ length: 100 }, (_, n) => n);

  test('while sagas wait is of a few at a time, in the order of their arrival', async () => {
    const answered = crowd();
    await eventually('the first are admitted', () => admitted.length > 0);
    const atATime = admitted.length;
    expect([2, 3, 4]).toContain(atATime); // one alone would have Postgres wait
    for (const n of everyone) {
      await endOf(n);
      await eventually('the next is admitted', () => admitted.length === Math.min(100, n + 1 + atATime));
    }
    expect(admitted).toEqual(everyone);
    expect(await answered).toEqual(everyone);
  });

  test('is of all, as soon as no saga waits', async () => {
    const answered = crowd();
    isBehind = false;
    await endOf(0);
    await eventually('all are admitted', () => admitted.length === 100);
    for (const end of ends.values()) end();
    expect(await answered).toEqual(everyone);
  });

  test('skips a request whose client has disconnected before its turn; the next goes on', async () => {
    const admit = createAdmission(() => true);
    const accepted: string[] = [];
    const accept = (name: string) => async () => void accepted.push(name);
    const gone = admit(() => true, accept('gone'));
    const patient = admit(() => false, accept('patient'));
    await expect(gone).rejects.toThrow('hung up');
    await patient;
    expect(accepted).toEqual(['patient']);
  });
});
