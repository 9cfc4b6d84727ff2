/**
 * Plain text: what is sent beyond this machine without TLS, readable for all on the way. It is refused unless ALLOW_PLAINTEXT
 * names the neighbour. Plain .mjs, because migrations follow the same rule before there is a build; runtime/plain-text.ts has
 * the settings it applies to.
 */
import { BlockList, isIP } from 'node:net';

/** @returns {string[]} the neighbours that ALLOW_PLAINTEXT names */
export const allowedInPlainText = (env) =>
  (env.ALLOW_PLAINTEXT ?? '')
    .toLowerCase()
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean);

export const plainTextSentence = (variable, host, word, remedy) =>
  `${variable} is refused: it leads to ${host} in plain text, readable for all on the way. Either ${remedy}, or add ${word} to ALLOW_PLAINTEXT.`;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/**
 * Whether what is sent to this host stays on this machine. Names are not looked up: what another name leads to may change.
 * @param {string} host a name, an address with or without brackets, or the path of a socket
 */
export function isOnThisMachine(host) {
  if (host.startsWith('/') || host.toLowerCase() === 'localhost') return true;
  const address = host.replace(/^\[(.*)\]$/, '$1');
  return isIP(address) !== 0 && LOOPBACK.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
