/** Whose connection it is, for limits per address: the peer's or, behind a proxy that is believed, that of the proxy's client. */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** @param list addresses and CIDRs, separated by commas, as TRUST_PROXY has them */
export function createProxyCheck(list: string | undefined): (address: string) => boolean {
  const proxies = new BlockList();
  for (const part of list?.split(',') ?? []) {
    const [address = '', bits] = part.trim().split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) proxies.addAddress(address, family);
    else proxies.addSubnet(address, Number(bits), family);
  }
  return (address) => proxies.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}

/** @returns the nearest address in X-Forwarded-For that is not a proxy of ours; undefined if the proxy names none */
export function forwardedClient(request: IncomingMessage, isProxy: (address: string) => boolean): string | undefined {
  const given = request.headers['x-forwarded-for'];
  const chain = (typeof given === 'string' ? given : '').split(',').map((part) => part.trim());
  for (const address of chain.reverse()) {
    if (isIP(address) === 0) return undefined;
    if (!isProxy(address)) return address;
  }
  return undefined;
}

/** One key per client: an IPv6 client has a whole /64 to choose from. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address;
  const [head = '', tail = ''] = address.toLowerCase().split('%', 1)[0]?.split('::') ?? [];
  const [left, right] = [head, tail].map((part) => part.split(':').filter(Boolean)) as [string[], string[]];
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...(address.includes('::') ? zeros : []), ...right].slice(0, 4).join(':');
}
