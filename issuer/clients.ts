/**
 * Clients: pages that send a browser here to sign in. There are no accounts of them: a client is where it wants the browser to be
 * sent back, which must be on this machine or configured, so that a code reaches no page that its owner has not started.
 */
import type { IncomingMessage } from 'node:http';

/** Of RFC 8252's loopback redirects: any port, since a developer's changes. */
const LOOPBACK = /^(localhost|[a-z0-9-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const REDIRECT_URI_MAX = 500;

export type Clients = {
  /** Whether a browser may be sent back there, and pages of there may ask for tokens. */
  isKnown: (redirectUri: string) => boolean;
  isKnownOrigin: (origin: string) => boolean;
};

/** @param configured the redirect URIs beyond this machine, each exactly */
export function createClients(configured: readonly string[]): Clients {
  const exact = new Set(configured);
  const origins = new Set(configured.map((uri) => new URL(uri).origin));
  return {
    isKnown: (uri) => exact.has(uri) || (uri.length <= REDIRECT_URI_MAX && isOnThisMachine(uri)),
    isKnownOrigin: (origin) => origins.has(origin) || (isOnThisMachine(origin) && new URL(origin).origin === origin),
  };
}

/** Written as browsers write it, so that what is compared here is where they go. */
function isOnThisMachine(uri: string): boolean {
  if (!URL.canParse(uri)) return false;
  const { protocol, hostname, username, password, hash, href, origin } = new URL(uri);
  if (protocol !== 'http:' && protocol !== 'https:') return false;
  if (username !== '' || password !== '' || hash !== '' || uri.includes('#')) return false;
  return LOOPBACK.test(hostname) && (href === uri || origin === uri);
}

/** What pages fetch of a provider, and are answered across origins. */
const FETCHED = new Set(['/token', '/.well-known/openid-configuration', '/.well-known/jwks.json']);
export const isFetchedByPages = (path: string): boolean => FETCHED.has(path);

/**
 * What another site's page may have a browser send here: to open the page on which one signs in, where nothing happens without a
 * click; and from the pages of known clients what they fetch.
 */
export function mayCrossSites({ isKnownOrigin }: Clients): (request: IncomingMessage) => boolean {
  return ({ method, url = '', headers }) => {
    const path = url.split('?', 1)[0] ?? '';
    if (path === '/authorize' || path === '/logout') return method === 'GET' && isNavigation(headers);
    return isFetchedByPages(path) && headers.origin !== undefined && isKnownOrigin(headers.origin);
  };
}

const isNavigation = (headers: IncomingMessage['headers']): boolean =>
  headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
