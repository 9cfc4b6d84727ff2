/**
 * The client's id of a customer, sealed with the installation's key: whoever orders first has no key yet, none may be asked for while an
 * order is accepted, and a list of a thousand orders would ask for a thousand. It is found by its keyed hash, which is not sealed.
 */
import { type CustomerBehind, type IdentityKey, lookupOf, type ToldCustomer, toldCustomer } from '../customers.js';
import type { Statements } from '../database.js';
import { KeyUnavailable } from './errors.js';
import { mayClientIdsBeSealed, reopenPass } from './passes.js';
import { INSTALLATION, type Place } from './port.js';
import { asPlain, isMarked, NO_SEALING } from './sealing.js';

export const clientIdOf = (reference: string): Place => ({
  ...{ table: 'customers', column: 'client_id', row: reference, reference: INSTALLATION },
});

/**
 * A client's id as it may be stored. Where it cannot be sealed now it is stored as it is: an order is not refused because a key store
 * is away, and a pass seals it when that is back.
 * @param db a client, not a transaction
 */
export async function sealClientId(db: Statements, clientId: string, reference: string): Promise<string> {
  if (!db.sealing?.isOn || !(await mayClientIdsBeSealed(db))) return asPlain(clientId);
  try {
    return await db.sealing.seal(clientId, clientIdOf(reference));
  } catch (err) {
    if (!(err instanceof KeyUnavailable)) throw err;
    await reopenPass(db, 'customers');
    return asPlain(clientId);
  }
}

/**
 * `closed`: where its key cannot be had, the reference stands in its place; for whoever needs no client's id to go on. `reference`: nothing
 * is opened, for whoever is told references. `known`: as `opened`, for whoever asked by this client's id: of its own it needs no key.
 */
export type Reading = 'opened' | 'closed' | 'reference' | { known: KnownCustomer };
/** Who asks, and how that is found. */
export type KnownCustomer = { clientId: string; lookup: string };

export const knownCustomer = (key: IdentityKey, clientId: string): KnownCustomer => ({
  clientId,
  lookup: Buffer.from(lookupOf(key, clientId)).toString('hex'),
});

/**
 * What is told of the customer of a row. @param held what the row holds
 * @throws KeyUnavailable unless it may stay closed
 */
export async function openCustomer(
  db: Statements,
  { held, behind }: { held: string; behind: CustomerBehind | null },
  reading: Reading = 'opened',
): Promise<ToldCustomer> {
  const stored = behind?.clientId ?? null;
  if (behind === null || stored === null || !isMarked(stored)) return toldCustomer(held, behind);
  if (reading === 'reference') return toldCustomer(held, { ...behind, clientId: null });
  if (typeof reading === 'object' && behind.lookup === reading.known.lookup)
    return toldCustomer(held, { ...behind, clientId: reading.known.clientId });
  try {
    const clientId = await (db.sealing ?? NO_SEALING).open(stored, clientIdOf(held));
    return toldCustomer(held, { ...behind, clientId });
  } catch (err) {
    if (reading === 'closed' && err instanceof KeyUnavailable) return toldCustomer(held, { ...behind, clientId: null });
    throw err;
  }
}
