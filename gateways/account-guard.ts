/**
 * The guard before the gateway's account: money moves only while this database is known to be the one that speaks for the
 * installation. Reading is always allowed.
 */
import type { Gateway } from './payments.js';

/** The account does not know this database: it was restored or copied, or the key is another account's. */
export class AccountHeld extends Error {
  override name = 'AccountHeld';
}

/** @param ensureOurs resolves if money may move; @throws AccountHeld, or GatewayUnknown while that is not known */
export const guardAccount = <G extends Gateway>(gateway: G, ensureOurs: () => Promise<void>): G => ({
  ...gateway,
  charge: async (request) => {
    await ensureOurs();
    return gateway.charge(request);
  },
  settleOpenCharges: async (lookUp) => {
    await ensureOurs();
    return gateway.settleOpenCharges(lookUp);
  },
  refund: async (request) => {
    await ensureOurs();
    return gateway.refund(request);
  },
  callOff: async (reference) => {
    await ensureOurs();
    return gateway.callOff(reference);
  },
});
