import type { Client } from 'pg';

export const LOCK_WAIT_MS: number;
export function isLockNotHad(err: unknown): boolean;
export function runScript(
  client: Pick<Client, 'query'>,
  script: string,
  options?: { lockWaitMs?: number; patienceMs?: number; onRetry?: (tries: number) => void; signal?: AbortSignal },
): Promise<unknown>;
