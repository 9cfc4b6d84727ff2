/** What sealing offers to whoever stores or shows what is a person's; sealing.ts does it. */

/** What is read where a text was, once the customer's keys are destroyed. */
export const ERASED = '[erased]';

/** Of the installation itself, in the place of a customer: no customer's reference is this one. */
export const INSTALLATION = '00000000-0000-0000-0000-000000000000';

/** Where a text stands, and whose it is (the customer's reference): none of these may ever change for it. */
export type Place = { table: string; column: string; row: string; reference: string };

export type Sealing = {
  readonly isOn: boolean;
  /**
   * @returns what may be stored; `[erased]` for a customer whose keys are destroyed: nothing of it is kept any more
   * @throws KeyUnavailable
   */
  seal(text: string, place: Place): Promise<string>;
  /**
   * @returns the text, or `[erased]` once the customer's keys are destroyed
   * @throws KeyUnavailable if the key store is away; `SealBroken` if this was not sealed for this place
   */
  open(stored: string, place: Place): Promise<string>;
  /**
   * The same for bytes that stand outside of our tables; `about` takes the place's part.
   * @throws KeyDestroyed, KeyUnavailable
   */
  sealBytes(bytes: Uint8Array, of: { reference: string; about: string }): Promise<SealedBytes>;
  /** @throws KeyDestroyed, KeyUnavailable, SealBroken */
  openBytes(sealed: SealedBytes, of: { reference: string; about: string }): Promise<Buffer>;
  /** A customer's keys were destroyed: this process forgets them now, others within KEY_CACHE_TTL. */
  forget(reference: string): void;
};

/** `data` = nonce, ciphertext, tag. */
export type SealedBytes = { keyVersion: number; data: Uint8Array };
