/** Temporal behind mutual TLS, with certificates of an authority that only we know: as a cluster of one's own, or Temporal Cloud, is reached. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as openSocket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { openTemporal } from '../../runtime/temporal.js';
import { cleanEnv, runCli } from '../ops/cli.js';
import { type Authority, createAuthority } from '../support/authority.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startTemporal } from '../support/saga.js';

let authority: Authority;
let stranger: Authority;
let temporal: TestWorkflowEnvironment;
let t: TestDatabase;
let door: Server;
let address: string;
/** Of each client that was let in. */
const names: string[] = [];

beforeAll(async () => {
  [authority, stranger, temporal, t] = await Promise.all([
    createAuthority(),
    createAuthority(),
    startTemporal(),
    createTestDatabase(),
  ]);
  const [host = '', port] = temporal.address.split(':');
  // The development server has no TLS: what stands before it here asks for a certificate, as a cluster's frontend does.
  const options = { requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] };
  const [key, cert, ca] = [authority.key, authority.certificate, authority.ca].map((file) => readFileSync(file));
  door = createServer({ ...options, key, cert, ca } as Parameters<typeof createServer>[0], (client: TLSSocket) => {
    names.push(String(client.getPeerCertificate().subject['CN']));
    const server = openSocket(Number(port), host);
    for (const socket of [client, server]) socket.on('error', () => socket.destroy());
    client.pipe(server).pipe(client);
    client.on('close', () => server.destroy());
  });
  door.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  address = `localhost:${(door.address() as AddressInfo).port}`;
}, 60_000);
afterAll(async () => {
  door?.close();
  await temporal?.teardown();
  await t?.drop();
  authority?.remove();
  stranger?.remove();
});

type Files = { key: string; certificate: string };
const envOf = (files: Files | undefined, ca = authority.ca): NodeJS.ProcessEnv => ({
  TEMPORAL_ADDRESS: address,
  TEMPORAL_TLS: 'true',
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: ca,
  ...(files && { TEMPORAL_TLS_CLIENT_CERT_PATH: files.certificate, TEMPORAL_TLS_CLIENT_KEY_PATH: files.key }),
});
const isReached = async (env: NodeJS.ProcessEnv): Promise<boolean> => {
  const link = openTemporal(pino({ level: 'silent' }), env);
  const late = new Promise<false>((resolve) => setTimeout(resolve, 2_000, false));
  const asked = link.connected.then(async ({ client }) => {
    await client.workflowService.getSystemInfo({});
    return true;
  });
  const reached = await Promise.race([asked.catch(() => false), late]);
  await link.close();
  return reached;
};

test('a process of the service and the operators’ CLI work through it with the client’s certificate', async () => {
  const files = await authority.certify('order-saga-worker');
  expect(await isReached(envOf(files))).toBe(true);
  const operator = envOf(await authority.certify('an-operator'));
  const { code, stderr } = await runCli(['stuck'], { ...cleanEnv(), ...operator, DATABASE_URL: t.url });
  expect([code, stderr]).toEqual([0, expect.not.stringContaining('Temporal does not answer')]);
  expect(new Set(names)).toEqual(new Set(['order-saga-worker', 'an-operator']));
}, 60_000);

test('without a certificate, with one of another authority, or where the server’s is not the right one, nothing is reached', async () => {
  const [right, wrong] = [await authority.certify('order-saga-worker'), await stranger.certify('order-saga-worker')];
  const before = names.length;
  const reached = await Promise.all([
    isReached(envOf(undefined)),
    isReached(envOf(wrong)),
    isReached(envOf(right, stranger.ca)),
  ]);
  expect(reached).toEqual([false, false, false]);
  expect(names.length).toBe(before);
}, 60_000);
