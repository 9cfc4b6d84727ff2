/**
 * The connections of a listener: a limited number, of which strangers cannot take all. When they are all taken, a new one
 * takes the place of the one that has been idle longest, first of an address that has more than its share. When they are nearly all
 * taken, an address with more than its share of requests in work is refused further ones. A connection is idle unless a
 * request that has arrived as a whole is unanswered: one that never sends any, or that never ends one, is idle as well.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Counter } from 'prom-client';
import { addressKey, createProxyCheck, forwardedClient } from './client-address.js';
import type { Refusal } from './refusals.js';

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

export const closedConnections = new Counter({
  name: 'order_saga_connections_closed_total',
  help: 'Connections that were closed because all were taken, by listener and reason: idle, or refused at once',
  labelNames: ['listener', 'reason'],
  registers: [],
});

type Address = { key: string; isProxy: boolean; connections: number; inWork: number; idle: Set<Connection> };
type Connection = {
  socket: Socket;
  address: Address;
  /** Whose requests are in work on it. */
  client: Address;
  /** The latest of them. */
  request: IncomingMessage | undefined;
  unanswered: number;
  idleSince: number;
};

export const defaultShare = (max: number): number =>
  Math.max(1, Math.floor(max / 10), Math.min(FEW, Math.floor(max / 2)));

/** @returns to be called with each request before it is handled: counts it, and refuses it if its client has too many in work */
export function limitConnections(server: Server, listener: string, limits: ConnectionLimits) {
  const { max, perAddressMax = defaultShare(max) } = limits;
  const nearly = Math.max(1, Math.floor(max * NEARLY));
  const isProxy = createProxyCheck(limits.trustProxy);
  const connections = new Map<Socket, Connection>();
  const addresses = new Map<string, Address>();
  const greedy = new Set<Address>();
  /** Longest idle first. May have some that are not idle: see `longestIdle`. */
  const idle = new Set<Connection>();

  const addressOf = (text: string): Address => {
    const key = addressKey(text);
    const known = addresses.get(key);
    if (known) return known;
    const fresh = { key, isProxy: isProxy(text), connections: 0, inWork: 0, idle: new Set<Connection>() };
    addresses.set(key, fresh);
    return fresh;
  };
  const count = (address: Address, what: 'connections' | 'inWork', change: 1 | -1) => {
    address[what] += change;
    if (address.connections > perAddressMax && !address.isProxy) greedy.add(address);
    else greedy.delete(address);
    if (address.connections === 0 && address.inWork === 0) addresses.delete(address.key);
  };
  const setIdle = (connection: Connection, isIdle: boolean) => {
    for (const set of [idle, connection.address.idle]) {
      set.delete(connection);
      if (isIdle) set.add(connection); // at the end
    }
    connection.idleSince = performance.now();
  };
  const forget = (connection: Connection) => {
    if (!connections.delete(connection.socket)) return;
    idle.delete(connection);
    connection.address.idle.delete(connection);
    if (connection.unanswered > 0) count(connection.client, 'inWork', -1);
    count(connection.address, 'connections', -1);
  };
  const victimFor = (newcomer: Connection): Connection => {
    const pools = greedy.has(newcomer.address) ? [newcomer.address.idle] : [...greedy].map((address) => address.idle);
    const [first = longestIdle(idle) ?? newcomer] = pools
      .flatMap((pool) => longestIdle(pool) ?? [])
      .sort((a, b) => a.idleSince - b.idleSince);
    return first;
  };
  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket.remoteAddress ?? '');
    const newcomer = { socket, address, client: address, request: undefined, unanswered: 0, idleSince: 0 };
    connections.set(socket, newcomer);
    count(address, 'connections', 1);
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
    const { address } = connection;
    if (connection.unanswered++ === 0) {
      const named = address.isProxy ? forwardedClient(request, isProxy) : undefined;
      connection.client = named === undefined ? address : addressOf(named);
      count(connection.client, 'inWork', 1);
    }
    connection.request = request;
    setIdle(connection, true); // until it has arrived as a whole
    response.once('close', () => {
      if (connections.get(connection.socket) !== connection || --connection.unanswered > 0) return;
      connection.request = undefined;
      count(connection.client, 'inWork', -1);
      setIdle(connection, true);
    });
    const { client } = connection;
    return connections.size >= nearly && client.inWork > perAddressMax && !client.isProxy ? TOO_MANY : undefined;
  };

  /** Drops from the set what is at work by now; it is put back when it has been answered. */
  function longestIdle(set: Set<Connection>): Connection | undefined {
    for (const connection of set) {
      if (!connection.request?.complete) return connection;
      setIdle(connection, false);
    }
    return undefined;
  }
}

const TOO_MANY: Refusal = {
  code: 'overloaded',
  detail: 'Nearly all connections are taken, and your address has more than its share of requests in work on them.',
};
