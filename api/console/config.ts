/** What the console is told of the installation: GET /console/config.json, open to everybody. */
import type { AuthenticationSettings } from '../access/authentication.js';
import type { ConsoleConfig } from '../dependencies.js';

/** How the page signs people in at the issuer; see runtime/console-settings. */
export type SignInOfConsole = {
  clientId: string;
  scope: string;
  /** Sent to the issuer besides what the protocol asks. */
  parameters: Record<string, string>;
  /** Where browsers find the issuer, if not under its name. */
  issuerUrl?: string;
  /** That the page talks to besides the issuer's. */
  origins: string[];
};

const BY_DEFAULT: SignInOfConsole = { clientId: 'order-saga-console', scope: 'openid', parameters: {}, origins: [] };

type Settings = {
  authentication?: AuthenticationSettings;
  launcherUrl?: string;
  signIn?: SignInOfConsole;
  temporalUiUrl?: string;
  tracesUiUrl?: string;
};

export function consoleOf({
  authentication,
  launcherUrl,
  signIn = BY_DEFAULT,
  temporalUiUrl,
  tracesUiUrl,
}: Settings): ConsoleConfig {
  const { clientId, scope, parameters, issuerUrl, origins } = signIn;
  const issuer = authentication?.issuer;
  return {
    authentication: issuer === undefined ? 'none' : 'oidc',
    ...(issuer !== undefined && {
      signIn: { issuer, issuerUrl: issuerUrl ?? issuer, clientId, scope, parameters },
      connectsTo: [issuerUrl ?? issuer, ...origins].flatMap((url) => (URL.canParse(url) ? [new URL(url).origin] : [])),
    }),
    ...(temporalUiUrl !== undefined && { temporalUrl: temporalUiUrl }),
    ...(tracesUiUrl !== undefined && { tracesUrl: tracesUiUrl }),
    demo: launcherUrl !== undefined,
  };
}
