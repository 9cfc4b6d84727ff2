/**
 * The host that a request names: in its Host header or, where the request target is a whole URL, there (RFC 9112 §3.2). A web
 * page can point a name of its own at 127.0.0.1 (DNS rebinding), but not make a browser say another name than the page's.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** `name` in lower case, IPv6 in brackets; `port` empty where none is named. */
export type Authority = { name: string; port: string };

/** RFC 9110 §7.2, less what no name in DNS and no container has in it. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{0,5}))?$/;

/** @returns undefined for what is not a host with or without a port */
export function parseAuthority(text: string): Authority | undefined {
  const [, name = '', port = ''] = AUTHORITY.exec(text.toLowerCase()) ?? [];
  if (name === '' || Number(port) > 65_535) return undefined;
  if (name.startsWith('[') && !isIPv6(name.slice(1, -1))) return undefined;
  return { name, port };
}

const LOCALHOST = /^(?:[a-z0-9_-]+\.)*localhost$/;

/** Whether it can be no other machine than this one, whatever a name server says. */
export const isLoopbackName = (name: string): boolean =>
  LOCALHOST.test(name) || name === '[::1]' || (name.startsWith('127.') && isIPv4(name));

/** @param address as a socket has it. @returns as a Host header would name it */
export function nameOfAddress(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  return mapped ?? (address.includes(':') ? `[${address.toLowerCase()}]` : address);
}
