/**
 * A mutant: a small change to the product that breaks one promise, and the test that must notice. It is caught if and only if
 * that test passes without it and fails with it, by what the test asserts.
 */
export type Mutant = {
  /** In kebab case. */
  id: string;
  /** What no longer holds with the change, said as it holds without. */
  promise: string;
  file: string;
  /** Stands exactly once in the file. */
  find: string;
  replace: string;
  /** The test file that notices, and so much of the test's name, with the names around it, that it is the only one. */
  test: string;
  name: string;
  /** Where the test notices by an error that the product or the test throws, not by `expect`: so much of its message. */
  says?: string;
};
