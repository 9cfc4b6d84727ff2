/** An issuer of one's own on a free port, and the API's own authenticator to judge its tokens. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { pino } from 'pino';
import { type AuthenticationSettings, createAuthenticator } from '../../api/access/authentication.js';
import type { Caller } from '../../api/access/permissions.js';
import { openKeys } from '../../issuer/keys.js';
import { createIssuer } from '../../issuer/server.js';
import { freePort } from '../../local/processes/ports.js';

export type Running = { url: string; port: number; close: () => Promise<void> };

const AUDIENCE = 'order-saga';
const folders: string[] = [];
const running = new Set<Running>();

export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'issuer-test-'));
  folders.push(folder);
  return folder;
}

/** @param folder where its keys live; a port that was free a moment ago, because `iss` must name it before it listens */
export async function startIssuer(folder: string, port?: number): Promise<Running> {
  const listening = port ?? (await freePort());
  const url = `http://127.0.0.1:${listening}`;
  const keys = await openKeys(join(folder, 'issuer'));
  const app: FastifyInstance = createIssuer({
    issuer: url,
    audience: AUDIENCE,
    keys,
    logger: pino({ level: 'silent' }),
  });
  await app.listen({ host: '127.0.0.1', port: listening });
  const issuer: Running = {
    url,
    port: listening,
    close: async () => {
      running.delete(issuer);
      await app.close();
    },
  };
  running.add(issuer);
  return issuer;
}

/** For `afterEach`. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...running].map((issuer) => issuer.close()));
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
}

/** How the API sees a bearer of `token`. */
export function createConformanceCheck(
  issuer: Running,
  settings: Partial<AuthenticationSettings> = {},
): (token: string) => Promise<Caller> {
  const authenticate = createAuthenticator({
    issuer: issuer.url,
    audience: AUDIENCE,
    rolesClaim: 'roles',
    ...settings,
  });
  const log = pino({ level: 'silent' });
  return (token) =>
    authenticate({
      headers: { authorization: `Bearer ${token}` },
      raw: { rawHeaders: [] },
      log,
    } as unknown as FastifyRequest);
}

export async function askFor(issuer: Running, request: object): Promise<{ status: number; body: TokenAnswer }> {
  const response = await fetch(`${issuer.url}/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  return { status: response.status, body: (await response.json()) as TokenAnswer };
}

export type TokenAnswer = {
  access_token: string;
  token_type: string;
  expires_in: number;
  error?: string;
  error_description?: string;
};

export async function tokenFor(issuer: Running, request: object): Promise<string> {
  const { status, body } = await askFor(issuer, request);
  if (status !== 200) throw new Error(`${status}: ${body.error_description}`);
  return body.access_token;
}
