/** What the page is told before anybody has signed in; see api/console/config.ts. */
import { createContext, useContext } from '../vendor/preact.js';
import { base } from './base.js';

/** @typedef {{ issuer: string, issuerUrl: string, clientId: string, scope: string, parameters: Record<string, string> }} SignIn */
/**
 * @typedef {object} Config
 * @property {'none' | 'oidc'} authentication
 * @property {SignIn} [signIn] where people sign in, with `authentication: 'oidc'`
 * @property {string} [temporalUrl]
 * @property {string} [tracesUrl]
 * @property {boolean} demo
 */

export const ConfigContext = createContext(/** @type {Config} */ ({ authentication: 'none', demo: false }));
/** @returns {Config} */
export const useConfig = () => useContext(ConfigContext);

/** @returns {Promise<Config>} */
export async function readConfig() {
  const response = await fetch(new URL('console/config.json', base)).catch(() => undefined);
  if (!response?.ok) throw new Error('The API does not answer. The page goes on when it does.');
  return response.json();
}
