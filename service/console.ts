/** How the console signs people in, as the process is configured. */
import type { SignInOfConsole } from '../api/console/config.js';

type Config = {
  CONSOLE_OIDC_CLIENT_ID: string;
  CONSOLE_OIDC_SCOPE: string;
  CONSOLE_OIDC_PARAMETERS: string;
  CONSOLE_OIDC_URL: string | undefined;
  CONSOLE_OIDC_ORIGINS: string | undefined;
};

export function signInOfConsole(config: Config): SignInOfConsole {
  const { CONSOLE_OIDC_URL: issuerUrl } = config;
  return {
    clientId: config.CONSOLE_OIDC_CLIENT_ID,
    scope: config.CONSOLE_OIDC_SCOPE,
    parameters: Object.fromEntries(new URLSearchParams(config.CONSOLE_OIDC_PARAMETERS)),
    ...(issuerUrl !== undefined && { issuerUrl }),
    origins: config.CONSOLE_OIDC_ORIGINS?.split(',') ?? [],
  };
}
