/** Listening on `localhost`, which is two addresses: programs that say the name may mean either. */
import type { Server } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';

export const IPV4_LOOPBACK = '127.0.0.1';
const LOOPBACK = new Set([IPV4_LOOPBACK, '::1', 'localhost']);

/** Whether who listens there is reached by this machine only. */
export const isLoopbackHost = (host: string): boolean => LOOPBACK.has(host);

/** @returns the one address to listen on; the other is added by `listenOnOtherLoopback` */
export const firstAddressOf = (host: string): string => (host === 'localhost' ? IPV4_LOOPBACK : host);

/** Connections to [::1] become the server's own, with all that holds for them. A machine without IPv6 goes without. */
export function listenOnOtherLoopback(server: Server, host: string): Promise<void> {
  if (host !== 'localhost') return Promise.resolve();
  const { port } = server.address() as AddressInfo;
  const other = createServer((socket) => void server.emit('connection', socket));
  server.once('close', () => other.close());
  return new Promise((resolve) => {
    other.once('error', () => resolve());
    other.listen(port, '::1', () => resolve());
  });
}
