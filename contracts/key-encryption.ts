/**
 * Data keys are stored wrapped: encrypted by a key-encryption key (KEK) that the database does not know. This is the port between
 * what keeps them (domain/sealing) and what wraps them (gateways/key-encryption), neither of which knows the other.
 */

/** A data key as it may be stored. `keyId` names the KEK that unwraps it. */
export type WrappedKey = { keyId: string; wrapped: Uint8Array };

export type KeyEncryption = {
  /** The `keyId` under which it wraps now. @throws if the key store is away */
  currentId(): Promise<string>;
  /**
   * @param context whose key it is; unwrapping takes the same, so that no row can stand for another
   * @throws if the key store cannot do it, or is away
   */
  wrap(dataKey: Uint8Array, context: string): Promise<WrappedKey>;
  /** By whichever KEK has wrapped it. @throws if the key store cannot do it, or is away */
  unwrap(key: WrappedKey, context: string): Promise<Buffer>;
};
