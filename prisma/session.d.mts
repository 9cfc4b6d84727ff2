import type { ClientConfig } from 'pg';

/** GUC name → value. */
export type SessionSettings = Record<string, string>;
export function splitUrl(raw: string): { url: URL; schema: string; database: string };
export function sessionConfig(url: string, more?: SessionSettings): ClientConfig;
/** How a connection to this URL would be protected. */
export function protectionOf(
  url: string,
  env: NodeJS.ProcessEnv,
): { host: string; tls: 'verified' | 'unverified' | 'none' };
/** @returns a sentence if this URL leads beyond this machine without TLS, and ALLOW_PLAINTEXT does not name postgres */
export function refusePlainPostgres(url: string, env: NodeJS.ProcessEnv): string | undefined;
