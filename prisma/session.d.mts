import type { ClientConfig } from 'pg';

/** GUC name → value. */
export type SessionSettings = Record<string, string>;
export function splitUrl(raw: string): { url: URL; schema: string; database: string };
export function sessionConfig(url: string, more?: SessionSettings): ClientConfig;
