/**
 * Server-side request forgery: a name that leads into our own network is not a receiver. Private is whatever IANA's registries of
 * special-purpose addresses do not call globally reachable, and what carries an IPv4 address within (6to4, Teredo, NAT64), since
 * it may lead to a private one.
 * https://www.iana.org/assignments/iana-ipv4-special-registry · https://www.iana.org/assignments/iana-ipv6-special-registry
 */
import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const PRIVATE_IPV4 = listOf('ipv4', [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3], // multicast, reserved, broadcast
]);

/** All that has been given out as global unicast. What is not in it, ::/96, 64:ff9b::/96, fc00::/7 and fec0::/10 included, is no receiver's. */
const GLOBAL_IPV6 = listOf('ipv6', [['2000::', 3]]);
const PRIVATE_IPV6 = listOf('ipv6', [
  ['2001::', 23], // protocols' own, Teredo and ORCHID among them
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]);

function listOf(family: 'ipv4' | 'ipv6', nets: (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [net, bits] of nets) list.addSubnet(net, bits, family);
  return list;
}

/** What is no address at all is private, too; a zone (fe80::1%eth0) means a network of this machine. */
export function isPrivate(address: string): boolean {
  if (address.includes('%')) return true;
  if (isIP(address) === 4) return PRIVATE_IPV4.check(address, 'ipv4');
  if (isIP(address) !== 6) return true;
  return !GLOBAL_IPV6.check(address, 'ipv6') || PRIVATE_IPV6.check(address, 'ipv6');
}

const refusal = () => new Error('WEBHOOK_URL leads to a private address; WEBHOOK_ALLOW_PRIVATE=true permits it');

/** An address that is written out is never looked up. @throws if `hostname` is one, and private */
export function refusePrivateLiteral(hostname: string): void {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && isPrivate(host)) throw refusal();
}

/**
 * For a socket's own look-up, so that the address that is checked is the one connected to: a name that answers differently the second
 * time (DNS rebinding) gains nothing. A name with a private address among its public ones is refused whole.
 * @param resolve the system's look-up, but for tests
 */
export const lookupPublicBy =
  (resolve: (hostname: string, options: LookupAllOptions, done: LookupAllCallback) => void): LookupFunction =>
  (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (err, addresses) => {
      if (err) return done(err, '');
      if (addresses.some(({ address }) => isPrivate(address))) return done(refusal(), '');
      const [first] = addresses;
      if (options.all) done(null, addresses);
      else done(null, first?.address ?? '', first?.family);
    });
  };
type LookupAllCallback = (err: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;

export const lookupPublic = lookupPublicBy(lookup);
