/** Keys wrapped by transit of a real server (OpenBao, which speaks as Vault does): rotation, refusals, and an outage that costs little. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openKeyStores } from '../../../gateways/key-encryption/configured.js';
import { protectKeyStore } from '../../../gateways/key-encryption/protection.js';
import { openVault } from '../../../gateways/key-encryption/vault.js';
import { readConfig } from '../../../runtime/config.js';
import { keySettings } from '../../../runtime/key-settings.js';
import { findOpenBao, type OpenBao, startOpenBao } from '../../../testbed/openbao.js';
import { eventually } from '../../support/conditions.js';

const found = await findOpenBao(process.env);
if ('missing' in found) {
  if (process.env['REQUIRE_BROKERS'] === '1') throw new Error(`REQUIRE_BROKERS=1, but ${found.missing}`);
  process.stderr.write(`Skipped: ${found.missing}\n`);
}
const describeWithServer = 'missing' in found ? describe.skip : describe;
const DATA_KEY = Buffer.alloc(32, 7);

describeWithServer('a real server', () => {
  let bao: OpenBao;
  let token: string;
  beforeAll(async () => {
    bao = await startOpenBao();
    await bao.ask('POST', 'transit/keys/order-saga');
    const rules = ['encrypt', 'decrypt'].map((act) => `path "transit/${act}/order-saga" { capabilities = ["update"] }`);
    await bao.ask('PUT', 'sys/policies/acl/order-saga', { policy: rules.join('\n') });
    token = await tokenOf(['order-saga']);
  }, 120_000);
  afterAll(() => bao?.stop());

  /** What the docs tell operators to make: a token that may do nothing else. */
  const tokenOf = async (policies: string[]) => {
    const response = await fetch(`${bao.address}/v1/auth/token/create`, {
      method: 'POST',
      headers: { 'x-vault-token': bao.token },
      body: JSON.stringify({ policies, no_default_policy: true }),
    });
    return ((await response.json()) as { auth: { client_token: string } }).auth.client_token;
  };
  const open = (more: { token?: string; key?: string; mount?: string; timeoutMs?: number } = {}) =>
    openVault({
      ...{ address: bao.address, mount: 'transit', key: 'order-saga', timeoutMs: 2_000, ...more },
      token: () => more.token ?? token,
    });

  test('a token that may encrypt and decrypt with the one key is enough, by the settings of the service', async () => {
    const env = { KEY_ENCRYPTION: 'vault', VAULT_ADDR: bao.address, VAULT_TOKEN: token };
    const store = await openKeyStores(readConfig(keySettings, env));
    const wrapped = await store?.wrap(DATA_KEY, 'a');
    expect(wrapped?.keyId).toBe('vault:transit/order-saga/v1');
    expect(await store?.currentId()).toBe(wrapped?.keyId);
    expect(wrapped && (await store?.unwrap(wrapped, 'a'))).toEqual(DATA_KEY);
  });

  test('a wrapped key is good for the customer only whose it is', async () => {
    const wrapped = await open().wrap(DATA_KEY, 'a');
    await expect(open().unwrap(wrapped, 'b')).rejects.toMatchObject({
      isAway: false,
      message: expect.stringMatching(/not wrapped by this key for this customer|refuses/),
    });
  });

  test('after a rotation the new version wraps and the old one unwraps; one that is retired too early is named', async () => {
    const store = open();
    const before = await store.wrap(DATA_KEY, 'a');
    await bao.ask('POST', 'transit/keys/order-saga/rotate');
    expect(await store.currentId()).toBe('vault:transit/order-saga/v2');
    expect(await store.unwrap(before, 'a')).toEqual(DATA_KEY);
    await bao.ask('POST', 'transit/keys/order-saga/config', { min_decryption_version: 2 });
    await expect(store.unwrap(before, 'a')).rejects.toMatchObject({
      isAway: false,
      message: expect.stringContaining('let `ops keys rewrap` end before it is raised'),
    });
    await bao.ask('POST', 'transit/keys/order-saga/config', { min_decryption_version: 1 });
    expect(await store.unwrap(before, 'a')).toEqual(DATA_KEY);
  });

  test.each([
    ['a token that has ended', { token: 's.nothing' }, 'refuses the token (403)'],
    ['a key that the token may not use', { key: 'other' }, 'refuses the token (403)'],
  ])('%s is told, and is nothing that time mends', async (_, more, sentence) => {
    const refused = open(more).wrap(DATA_KEY, 'a');
    await expect(refused).rejects.toMatchObject({ isAway: false, message: expect.stringContaining(sentence) });
    await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining(token) });
  });

  test('a server that does not answer costs one call its time, the others nothing, and is used again when it answers', async () => {
    const wrapped = await open().wrap(DATA_KEY, 'a');
    const changes: boolean[] = [];
    const store = protectKeyStore(open({ timeoutMs: 500 }), 500, { onAway: (isAway) => changes.push(isAway) });
    expect(await store.unwrap(wrapped, 'a')).toEqual(DATA_KEY);
    bao.pause();
    const began = performance.now();
    await expect(store.unwrap(wrapped, 'a')).rejects.toMatchObject({ isAway: true });
    expect(performance.now() - began).toBeLessThan(1_500);
    const next = performance.now();
    for (let n = 0; n < 50; n++) await expect(store.unwrap(wrapped, 'a')).rejects.toThrow('not asked again');
    expect(performance.now() - next).toBeLessThan(2_000); // asked again, they would take 25 s
    bao.resume();
    expect(await eventually('it is asked again', () => store.unwrap(wrapped, 'a'))).toEqual(DATA_KEY);
    expect(changes).toEqual([true, false]);
  });

  test('a server that is sealed is away, not gone', async () => {
    const other = await startOpenBao();
    try {
      await other.ask('POST', 'transit/keys/order-saga');
      const store = openVault({
        address: other.address,
        mount: 'transit',
        key: 'order-saga',
        timeoutMs: 2_000,
        token: () => other.token,
      });
      await store.currentId();
      await other.ask('PUT', 'sys/seal');
      await expect(store.currentId()).rejects.toMatchObject({ isAway: true, message: expect.stringContaining('503') });
    } finally {
      await other.stop();
    }
  });
});

test.each([
  ['more than it should', (_: unknown, res: { end(text: string): void }) => res.end('x'.repeat(100_000)), false],
  ['something else', (_: unknown, res: { end(text: string): void }) => res.end('{"data":{"ciphertext":7}}'), false],
  ['no JSON', (_: unknown, res: { end(text: string): void }) => res.end('<html>'), false],
])('a server that answers %s is not believed', async (_, answer, isAway) => {
  const server = createServer(answer as never).listen(0, '127.0.0.1');
  await eventually('it listens', () => server.listening);
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const store = openVault({ address, mount: 'transit', key: 'k', timeoutMs: 1_000, token: () => 't' });
  await expect(store.wrap(DATA_KEY, 'a')).rejects.toMatchObject({ name: 'KeyStoreError', isAway });
  server.close();
});

test('a server that is not there is away', async () => {
  const store = openVault({
    address: 'http://127.0.0.1:1',
    mount: 'transit',
    key: 'k',
    timeoutMs: 500,
    token: () => 't',
  });
  await expect(store.wrap(DATA_KEY, 'a')).rejects.toMatchObject({ isAway: true, message: 'Vault does not answer.' });
});

test.each([
  ['', 'VAULT_ADDR is not set'],
  ['http://127.0.0.1:8200', 'neither VAULT_TOKEN nor VAULT_TOKEN_FILE'],
])('what is missing is named, with VAULT_ADDR=%s', async (VAULT_ADDR, sentence) => {
  await expect(openKeyStores(readConfig(keySettings, { KEY_ENCRYPTION: 'vault', VAULT_ADDR }))).rejects.toThrow(
    sentence,
  );
});

test.each(['on', 'file:keys', 'vault,', 'aws-kms:alias/x', 'gcp-kms:x', 'off,vault'])(
  'KEY_ENCRYPTION=%s is refused',
  (value) => {
    expect(() => readConfig(keySettings, { KEY_ENCRYPTION: value })).toThrow('KEY_ENCRYPTION is wrong');
  },
);

test('a token is not sent in plain text beyond this machine', () => {
  expect(() => readConfig(keySettings, { VAULT_ADDR: 'http://vault.example:8200' })).toThrow(/VAULT_ADDR.*vault/s);
});
