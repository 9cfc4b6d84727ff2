/**
 * Keys wrapped by AWS KMS and Google Cloud KMS, by their own clients. The services themselves are not to be had here: servers stand in for
 * them that speak as much of their protocols as these calls take.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as aws from '@aws-sdk/client-kms';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openAwsKms } from '../../../gateways/key-encryption/aws-kms.js';
import { openGcpKms } from '../../../gateways/key-encryption/gcp-kms.js';
import { eventually } from '../../support/conditions.js';

const DATA_KEY = Buffer.alloc(32, 7);
const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const KEY = 'projects/shop/locations/europe-west3/keyRings/ours/cryptoKeys/order-saga';

type Reply = { status: number; body: object };
let reply: ((request: IncomingMessage, body: Record<string, unknown>) => Reply) | undefined;
let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString() || '{}') as Record<string, unknown>;
      const answer = reply?.(request, body) ?? { status: 503, body: {} };
      response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(answer.body));
    });
  }).listen(0, '127.0.0.1');
  await eventually('it listens', () => server.listening);
  port = (server.address() as AddressInfo).port;
});
afterAll(() => void server?.close());

/** Keeps what was wrapped, and for whom. */
const box = (sealed: unknown, context: unknown) => Buffer.from(JSON.stringify([sealed, context])).toString('base64');
const unbox = (blob: unknown) => JSON.parse(Buffer.from(String(blob), 'base64').toString()) as [string, unknown];

describe('AWS KMS', () => {
  const variables = { AWS_ENDPOINT_URL_KMS: '', AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'example' };
  beforeAll(() => {
    for (const [name, value] of Object.entries(variables)) process.env[name] = value || `http://127.0.0.1:${port}`;
  });
  afterAll(() => {
    for (const name of Object.keys(variables)) delete process.env[name];
  });
  const kms = (request: IncomingMessage, body: Record<string, unknown>): Reply => {
    if (String(request.headers['x-amz-target']).endsWith('.Encrypt'))
      return {
        status: 200,
        body: { KeyId: body['KeyId'], CiphertextBlob: box(body['Plaintext'], body['EncryptionContext']) },
      };
    const [plaintext, context] = unbox(body['CiphertextBlob']);
    return JSON.stringify(context) === JSON.stringify(body['EncryptionContext'])
      ? { status: 200, body: { KeyId: body['KeyId'], Plaintext: plaintext } }
      : { status: 400, body: { __type: 'InvalidCiphertextException' } };
  };
  const open = () => openAwsKms(aws, { arn: ARN, timeoutMs: 1_000 });

  test('a key wrapped for a customer is unwrapped for it, and for no other', async () => {
    reply = kms;
    const wrapped = await open().wrap(DATA_KEY, 'a');
    expect(wrapped.keyId).toBe(`aws-kms:${ARN}`);
    expect(await open().unwrap(wrapped, 'a')).toEqual(DATA_KEY);
    await expect(open().unwrap(wrapped, 'b')).rejects.toMatchObject({
      isAway: false,
      message: expect.stringContaining('InvalidCiphertext'),
    });
  });

  test.each([
    ['ThrottlingException', 400, true],
    ['KMSInternalException', 500, true],
    ['AccessDeniedException', 400, false],
    ['DisabledException', 400, false],
  ])('%s is told for what it is', async (name, status, isAway) => {
    reply = () => ({ status, body: { __type: name, message: 'with an account in it 111122223333' } });
    const refused = open().wrap(DATA_KEY, 'a');
    await expect(refused).rejects.toMatchObject({ isAway, message: expect.stringContaining(name) });
    await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('1111') });
  });

  test('an alias is refused: it may come to name another key', () => {
    expect(() => openAwsKms(aws, { arn: 'arn:aws:kms:eu-central-1:111122223333:alias/x', timeoutMs: 1 })).toThrow(
      'not the ARN of a key',
    );
  });
});

describe('Google Cloud KMS', () => {
  const calls: unknown[] = [];
  /** As its client's two methods answer; the client itself is loaded and made, and asks for credentials that are not here. */
  const library = (answer: (call: string, request: Record<string, unknown>) => unknown) =>
    ({
      KeyManagementServiceClient: class {
        encrypt = async (request: Record<string, unknown>, limit: unknown) => [
          answer('encrypt', request),
          calls.push(limit),
        ];
        decrypt = async (request: Record<string, unknown>, limit: unknown) => [
          answer('decrypt', request),
          calls.push(limit),
        ];
      },
    }) as never;
  const kms = (call: string, request: Record<string, unknown>) => {
    const context = String(request['additionalAuthenticatedData']);
    if (call === 'encrypt')
      return {
        name: `${String(request['name'])}/cryptoKeyVersions/3`,
        ciphertext: Buffer.from(box(Buffer.from(request['plaintext'] as Buffer).toString('base64'), context), 'base64'),
      };
    const [plaintext, wrappedFor] = unbox(Buffer.from(request['ciphertext'] as Buffer).toString('base64'));
    if (wrappedFor !== context || request['name'] !== KEY) throw Object.assign(new Error('INVALID'), { code: 3 });
    return { plaintext: Buffer.from(plaintext, 'base64') };
  };

  test('a key wrapped for a customer is unwrapped for it, by whichever version, and for no other', async () => {
    const store = openGcpKms(library(kms), { name: KEY, timeoutMs: 1_000 });
    const wrapped = await store.wrap(DATA_KEY, 'a');
    expect(wrapped.keyId).toBe(`gcp-kms:${KEY}/cryptoKeyVersions/3`);
    expect(await store.currentId()).toBe(wrapped.keyId);
    expect(await store.unwrap(wrapped, 'a')).toEqual(DATA_KEY);
    await expect(store.unwrap(wrapped, 'b')).rejects.toMatchObject({
      isAway: false,
      message: expect.stringContaining('(3)'),
    });
    expect(calls[0]).toEqual({ timeout: 1_000, maxRetries: 0 });
  });

  test.each([
    [14, true],
    [4, true],
    [7, false],
    [undefined, true],
  ])('code %s is told for what it is', async (code, isAway) => {
    const store = openGcpKms(
      library(() => {
        throw Object.assign(new Error('with a project in it'), { code });
      }),
      { name: KEY, timeoutMs: 1_000 },
    );
    await expect(store.wrap(DATA_KEY, 'a')).rejects.toMatchObject({ isAway });
    await expect(store.wrap(DATA_KEY, 'a')).rejects.not.toMatchObject({ message: expect.stringContaining('project') });
  });

  test('its own client is made of the package, and a name that is none is refused', async () => {
    const google = await import('@google-cloud/kms');
    expect(await openGcpKms(google, { name: KEY, timeoutMs: 1_000 }).prefix).toBe('gcp-kms:');
    expect(() => openGcpKms(google, { name: 'order-saga', timeoutMs: 1_000 })).toThrow('not the name of a key');
  });
});
