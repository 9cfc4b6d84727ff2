/**
 * Who uses the page, and with which rights. Without authentication everybody is `anonymous` with every role; else a person signs in at
 * the issuer, and the token stays in this page's memory.
 */
import { useEffect, useState } from '../vendor/preact.js';

/**
 * @typedef {object} Who
 * @property {string} subject '' = nobody is signed in
 * @property {readonly string[]} roles
 * @property {boolean} needsSignIn the API takes nothing without a token
 */

const EVERY_ROLE = ['customer', 'service', 'operator', 'auditor'];
/** @type {Who} */
let who = { subject: '', roles: [], needsSignIn: true };
/** @type {Set<(who: Who) => void>} */
const listeners = new Set();

export const session = {
  /** @param {import('./config.js').Config} config */
  configure(config) {
    const isOpen = config.authentication === 'none';
    change({ subject: isOpen ? 'anonymous' : '', roles: isOpen ? EVERY_ROLE : [], needsSignIn: !isOpen });
  },
  who: () => who,
  roles: () => who.roles,
  /** Whether acts are offered; the API refuses them anyway. */
  canAct: () => who.roles.includes('operator'),
  /** @returns {string | undefined} */
  bearer: () => undefined,
  async signIn() {},
  async signOut() {},
  /** The API has refused the token: whoever is on the page signs in again in place. */
  expired() {},
  /**
   * @param {(who: Who) => void} listener
   * @returns {() => void} ends it
   */
  onChange(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** @param {Who} next */
function change(next) {
  who = next;
  for (const listener of listeners) listener(who);
}

/** @returns {Who} */
export function useSession() {
  const [now, setNow] = useState(who);
  useEffect(() => {
    setNow(session.who());
    return session.onChange(setNow);
  }, []);
  return now;
}
