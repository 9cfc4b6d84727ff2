/** What the console is told of the installation: GET /console/config.json, open to everybody. */
import type { AuthenticationSettings } from '../access/authentication.js';
import type { ConsoleConfig } from '../dependencies.js';

type Settings = { authentication?: AuthenticationSettings; temporalUiUrl?: string };

export function consoleOf({ authentication, temporalUiUrl }: Settings): ConsoleConfig {
  return {
    authentication: authentication ? 'oidc' : 'none',
    ...(authentication && { issuer: authentication.issuer, audience: authentication.audience }),
    ...(temporalUiUrl !== undefined && { temporalUrl: temporalUiUrl }),
    demo: false,
  };
}
