/**
 * Strangers, where nobody is authenticated: whoever reaches the listener may do everything, so it must be a program or a page
 * of this machine that asks, on its own account. Refused are other hosts than this machine's (DNS rebinding), what another
 * site's page has a browser send (which it may do without reading the answer), and what a proxy brings in from elsewhere.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Authority, isLoopbackName, nameOfAddress, parseAuthority } from './host.js';
import type { Refusal } from './refusals.js';

export type Trusted = {
  /** Names, in lower case and without ports, besides this machine's own. */
  allowedHosts?: readonly string[] | undefined;
  /** Origins whose pages may ask. */
  origins?: readonly string[] | undefined;
  /** What pages of other sites may ask all the same; whoever handles it then judges the page. undefined = nothing. */
  mayCrossSites?: ((request: IncomingMessage) => boolean) | undefined;
};

export type StrangerCheck = (request: IncomingMessage, authority: Authority | undefined) => Refusal | undefined;

export function createStrangerCheck({ allowedHosts = [], origins = [], mayCrossSites }: Trusted): StrangerCheck {
  const hosts = new Set(allowedHosts);
  const friends = new Set(origins);
  return (request, authority) => {
    const { headers, socket } = request;
    if (!authority || !isOwnHost(authority.name, socket.localAddress, hosts)) return MISDIRECTED;
    if (isForwarded(headers)) return PROXIED;
    return isOwnSite(headers, authority, friends) || mayCrossSites?.(request) ? undefined : CROSS_SITE;
  };
}

const MISDIRECTED: Refusal = {
  code: 'misdirected-request',
  detail:
    'Without authentication this answers to localhost, *.localhost, 127.0.0.0/8, [::1] and what ALLOWED_HOSTS names.',
};
const PROXIED: Refusal = {
  code: 'proxied-request',
  detail: 'Without authentication this answers to this machine only, and the request says that it was forwarded.',
};
const CROSS_SITE: Refusal = {
  code: 'cross-site',
  detail: 'Without authentication this answers to no page of another site, but to those that CORS_ORIGINS names.',
};

/** An address that is the connection's own end is no name that could be made to point here. */
const isOwnHost = (name: string, localAddress: string | undefined, allowed: ReadonlySet<string>): boolean =>
  isLoopbackName(name) || allowed.has(name) || (localAddress !== undefined && name === nameOfAddress(localAddress));

/** What proxies and tunnels say of themselves (Via: each of them has to) and of whom they speak for. */
const FORWARDED = new Set([
  ...['forwarded', 'via', 'cdn-loop', 'client-ip', 'true-client-ip', 'cf-connecting-ip', 'fastly-client-ip'],
  ...['x-real-ip', 'x-client-ip', 'x-cluster-client-ip', 'x-original-forwarded-for', 'x-envoy-external-address'],
]);

function isForwarded(headers: IncomingHttpHeaders): boolean {
  for (const name in headers) {
    if (name.startsWith('x-forwarded') || FORWARDED.has(name)) return true;
  }
  return false;
}

/** Browsers say where a request comes from, and no page can have them say otherwise. Other programs say nothing. */
function isOwnSite(headers: IncomingHttpHeaders, authority: Authority, friends: ReadonlySet<string>): boolean {
  const { origin } = headers;
  if (origin !== undefined && friends.has(origin)) return true;
  if (origin !== undefined && !isOwnOrigin(origin, authority)) return false;
  const site = headers['sec-fetch-site'];
  return site === undefined || site === 'same-origin' || site === 'none';
}

function isOwnOrigin(origin: string, authority: Authority): boolean {
  const [, scheme = '', rest = ''] = /^(https?):\/\/(.+)$/.exec(origin) ?? [];
  const own = parseAuthority(rest);
  return own !== undefined && own.name === authority.name && portOf(own, scheme) === portOf(authority, scheme);
}

const portOf = ({ port }: Authority, scheme: string): number => Number(port || (scheme === 'https' ? 443 : 80));
