/**
 * The connections of a listener: a limited number, of which strangers cannot take all. When they are all taken, a new one
 * takes the place of the one that has been idle longest, first of an address that has more than its share. When they are nearly all
 * taken, an address with more than its share of requests in work is refused further ones. A connection is idle unless a
 * request that has arrived as a whole is unanswered: one that never sends any, or that never ends one, is idle as well.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Counter } from 'prom-client';
import { type Address, type Connection, createAddressBook, isInWork } from './addresses.js';
import { createProxyCheck, forwardedClient } from './client-address.js';
import type { Listener, Refusal } from './refusals.js';

export type ConnectionLimits = {
  max: number;
  /** Of one address, once they are nearly all taken; undefined = a tenth, but 8 if that is not more than half. */
  perAddressMax?: number;
  /** Addresses and CIDRs of proxies: their clients have shares, not they. */
  trustProxy?: string;
};

/** Share of `max` from which on they are nearly all taken. */
const NEARLY = 0.9;
const FEW = 8;
/**
 * While all are taken, so many new connections of an address with more than its share find a place in that time; the others are
 * cut before anything is made ready for them. An attacker that opens a thousand at once, and each again when it is cut, would
 * else have this process do nothing but that.
 */
const REPLACED_MAX = 50;
const REPLACED_WITHIN_MS = 100;

export const closedConnections = new Counter({
  name: 'order_saga_connections_closed_total',
  help: 'Connections that were closed because all were taken, by listener and reason: idle, or refused at once',
  labelNames: ['listener', 'reason'],
  registers: [],
});

function mayReplace(address: Address): boolean {
  const now = performance.now();
  if (now - address.replacingSince >= REPLACED_WITHIN_MS) {
    address.replacingSince = now;
    address.replaced = 0;
  }
  return ++address.replaced <= REPLACED_MAX;
}

export const defaultShare = (max: number): number =>
  Math.max(1, Math.floor(max / 10), Math.min(FEW, Math.floor(max / 2)));

/** @returns to be called with each request before it is handled: counts it, and refuses it if its client has its share in work */
export function limitConnections(server: Server, listener: Listener, limits: ConnectionLimits) {
  const { max, perAddressMax = defaultShare(max) } = limits;
  const nearly = Math.max(1, Math.floor(max * NEARLY));
  const isProxy = createProxyCheck(limits.trustProxy);
  const book = createAddressBook(perAddressMax, isProxy);
  const connections = new Map<Socket, Connection>();
  /** Longest idle first. May have some that are in work: see `longestIdle`. */
  const idle = new Set<Connection>();

  const setIdle = (connection: Connection, isIdle: boolean) => {
    for (const set of [idle, connection.address.idle]) {
      set.delete(connection);
      if (isIdle) set.add(connection); // at the end
    }
    connection.idleSince = performance.now();
  };
  const forget = (connection: Connection) => {
    if (!connections.delete(connection.socket)) return;
    setIdle(connection, false);
    book.end(connection);
    book.countConnection(connection.address, -1);
  };
  /** Drops from the set what is in work by now; it is put back when it has been answered. */
  const longestIdle = (set: Set<Connection>): Connection | undefined => {
    for (const connection of set) {
      if (!isInWork(connection)) return connection;
      setIdle(connection, false);
    }
    return undefined;
  };
  const victimFor = (newcomer: Connection): Connection => {
    const addresses = book.greedy.has(newcomer.address) ? [newcomer.address] : [...book.greedy];
    const candidates = addresses.flatMap((address) => longestIdle(address.idle) ?? []);
    const [first = longestIdle(idle) ?? newcomer] = candidates.sort((a, b) => a.idleSince - b.idleSince);
    return first;
  };
  const handlers = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const address = book.addressOf(socket.remoteAddress ?? '');
    if (connections.size >= max && book.greedy.has(address) && !mayReplace(address)) {
      closedConnections.inc({ listener, reason: 'refused' });
      return void socket.resetAndDestroy();
    }
    for (const handle of handlers) handle.call(server, socket);
    const newcomer = { socket, address, client: address, request: undefined, unanswered: 0, idleSince: 0 };
    connections.set(socket, newcomer);
    book.countConnection(address, 1);
    setIdle(newcomer, true);
    socket.once('close', () => forget(newcomer));
    if (connections.size <= max) return;
    const victim = victimFor(newcomer);
    closedConnections.inc({ listener, reason: victim === newcomer ? 'refused' : 'idle' });
    forget(victim);
    victim.socket.destroy();
  });

  return (request: IncomingMessage, response: ServerResponse): Refusal | undefined => {
    const connection = connections.get(request.socket);
    if (!connection) return undefined;
    if (connection.unanswered++ === 0) {
      const named = connection.address.isProxy ? forwardedClient(request, isProxy) : undefined;
      connection.client = named === undefined ? connection.address : book.addressOf(named);
      book.begin(connection);
    }
    connection.request = request;
    setIdle(connection, true); // until it has arrived as a whole
    response.once('close', () => {
      if (connections.get(connection.socket) !== connection || --connection.unanswered > 0) return;
      connection.request = undefined;
      book.end(connection);
      setIdle(connection, true);
    });
    return connections.size >= nearly && book.hasItsShare(connection.client, connection) ? TOO_MANY : undefined;
  };
}

const TOO_MANY: Refusal = {
  code: 'overloaded',
  detail: 'Nearly all connections are taken, and your address has its share of requests in work on them.',
};
