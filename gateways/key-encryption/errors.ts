/** What a key store answers that is no key. Its message is a sentence for operators, and has neither key nor customer in it. */
export class KeyStoreError extends Error {
  override name = 'KeyStoreError';
  /** @param isAway it did not answer, or not now: the same may go through later. Else somebody has to do something */
  constructor(
    message: string,
    readonly isAway: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
