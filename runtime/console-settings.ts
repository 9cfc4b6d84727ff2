/** The variables by which the console's page, in a browser, signs people in at the issuer. */
import { kinds } from './config.js';

const { authorizationParameters, httpUrl, origins, str } = kinds;

export const consoleSettings = {
  CONSOLE_OIDC_CLIENT_ID: str({
    default: 'order-saga-console',
    desc: 'The console’s name at the issuer: a public client, for code with PKCE, that is sent back to /console/',
  }),
  CONSOLE_OIDC_SCOPE: str({
    default: 'openid',
    desc: 'What it asks for, separated by spaces; with offline_access, and whatever makes the token one for AUTH_AUDIENCE',
  }),
  CONSOLE_OIDC_PARAMETERS: authorizationParameters({
    default: '',
    desc: 'What it sends to the issuer besides, as a query: audience=https://orders.example (Auth0), resource=…, kc_idp_hint=…',
  }),
  CONSOLE_OIDC_URL: httpUrl('link')({
    default: undefined,
    desc: 'Where browsers find the issuer’s discovery document, if not at AUTH_ISSUER',
  }),
  CONSOLE_OIDC_ORIGINS: origins({
    default: undefined,
    desc: 'Origins that the page may talk to besides that one, separated by commas: of a token endpoint that stands elsewhere',
  }),
};
