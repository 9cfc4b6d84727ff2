/** Whether a run of tests says what it must say: it is a test's own assertion that has to fail, no set-up and no compiler. */
import { patternOf } from './names.mjs';

/** Jest's matchers, fast-check's counterexamples, and conditions that did not come about (test/support/conditions). */
const ASSERTION = /expect\(|Property failed|: not within \d+ ms; last: |has not ended after \d+ s|toEqual|toBe/;

const SAID_MAX = 300;

const named = (tests, name) => tests.filter(({ fullName }) => new RegExp(patternOf(name)).test(fullName));

export const judge = {
  /** @returns undefined if the tests of this name pass, else why they are no proof */
  intact({ tests, failure }, name) {
    if (failure !== undefined) return failure;
    const failed = named(tests, name).find(({ status }) => status !== 'passed');
    return failed && `the test does not pass: ${failed.failureMessages[0]?.slice(0, SAID_MAX)}`;
  },

  /** @returns undefined if a test of this name fails by an assertion, else what happened instead */
  mutated({ tests, failure }, { name, says }) {
    if (failure !== undefined) return failure;
    const failed = named(tests, name).filter(({ status }) => status === 'failed');
    if (failed.length === 0) return 'the test passes';
    const messages = failed.flatMap(({ failureMessages }) => failureMessages);
    const isMeant = (message) => (says === undefined ? ASSERTION.test(message) : message.includes(says));
    return messages.some(isMeant) ? undefined : `the test fails by another reason: ${messages[0]?.slice(0, SAID_MAX)}`;
  },
};
