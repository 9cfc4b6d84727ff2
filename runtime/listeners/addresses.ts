/** The clients of a listener, by address: their connections, and who has more than its share of them. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { addressKey } from './client-address.js';

export type Connection = {
  socket: Socket;
  address: Address;
  /** Whose requests are unanswered on it: its address's or, of a proxy, those of a client of the proxy's. */
  client: Address;
  /** The latest of them. */
  request: IncomingMessage | undefined;
  unanswered: number;
  idleSince: number;
};

export type Address = {
  key: string;
  isProxy: boolean;
  connections: number;
  /** Longest idle first. */
  idle: Set<Connection>;
  unanswered: Set<Connection>;
  /** New connections that came while all were taken, since then. */
  replaced: number;
  replacingSince: number;
};

/** A request that has not arrived as a whole may never: nothing is in work for it that could not be given up. */
export const isInWork = ({ request }: Connection): boolean => request?.complete === true;

export function createAddressBook(perAddressMax: number, isProxy: (address: string) => boolean) {
  const addresses = new Map<string, Address>();
  const greedy = new Set<Address>();
  const tidy = (address: Address) => {
    if (address.connections > perAddressMax && !address.isProxy) greedy.add(address);
    else greedy.delete(address);
    if (address.connections === 0 && address.unanswered.size === 0) addresses.delete(address.key);
  };
  return {
    /** Those with more connections than their share. */
    greedy,
    addressOf: (text: string): Address => {
      const key = addressKey(text);
      const known = addresses.get(key);
      if (known) return known;
      const fresh = {
        key,
        isProxy: isProxy(text),
        connections: 0,
        idle: new Set<Connection>(),
        unanswered: new Set<Connection>(),
        replaced: 0,
        replacingSince: 0,
      };
      addresses.set(key, fresh);
      return fresh;
    },
    countConnection: (address: Address, change: 1 | -1) => {
      address.connections += change;
      tidy(address);
    },
    begin: (connection: Connection) => void connection.client.unanswered.add(connection),
    end: (connection: Connection) => {
      connection.client.unanswered.delete(connection);
      tidy(connection.client);
    },
    /** Whether it has its share in work already, besides this connection's latest request. */
    hasItsShare: (client: Address, besides: Connection): boolean => {
      if (client.isProxy || client.unanswered.size <= perAddressMax) return false;
      let inWork = 0;
      for (const connection of client.unanswered) {
        if (connection !== besides && isInWork(connection) && ++inWork >= perAddressMax) return true;
      }
      return false;
    },
  };
}
