/** Why something sealed cannot be read. The first may be mended by time or by an operator, the others by nobody. */

/** The key store is away, or refuses: nothing is known of what the key protects, and nothing is lost. */
export class KeyUnavailable extends Error {
  override name = 'KeyUnavailable';
}

/** The customer's keys are destroyed: what they protected is erased, and no key is made again. */
export class KeyDestroyed extends Error {
  override name = 'KeyDestroyed';
  constructor() {
    super('The keys of this customer are destroyed');
  }
}

/** What is stored was changed, or belongs elsewhere. */
export class SealBroken extends Error {
  override name = 'SealBroken';
}
