/** Why DATABASE_URL does not lead to a database, as a sentence for the operator who set it: without stack and password. */
import pg from 'pg';
import { sessionConfig } from '../prisma/session.mjs';
import { sentenceOf } from './errors/facts.js';

export type DatabaseFailure = {
  sentence: string;
  /** Waiting changes nothing: the URL or the server must be changed. */
  isFinal: boolean;
};

/** A healthy server answers in milliseconds. */
const CONNECT_LIMIT_MS = 3_000;

/** @returns undefined if a session can be had */
export async function checkDatabase(url: string): Promise<DatabaseFailure | undefined> {
  const client = new pg.Client({ ...sessionConfig(url), connectionTimeoutMillis: CONNECT_LIMIT_MS });
  client.on('error', () => undefined); // connect rejects with it, too
  try {
    await client.connect();
  } catch (err) {
    // Not waited for: where the server refuses our certificate after the handshake, the driver's end never comes.
    void client.end().catch(() => undefined);
    return explainFailure(err, url);
  }
  await client.end().catch(() => undefined);
  return undefined;
}

/** @param err with which the driver failed to connect */
export function explainFailure(err: unknown, url: string): DatabaseFailure {
  const { host, port, user, database } = sessionConfig(url);
  const at = `${host}:${port}`;
  const { code = '', message = '' } = (err ?? {}) as { code?: string; message?: string };
  const failure = (why: string, isFinal: boolean) => ({ sentence: `DATABASE_URL: ${why}.`, isFinal });
  switch (code) {
    case '28P01':
      return failure(
        `Postgres at ${at} does not take the password of user ${user}: this URL has another one than the role has`,
        true,
      );
    case '28000':
      return failure(`Postgres at ${at} does not let user ${user} in`, true);
    case '42501':
      return failure(`user ${user} may not connect to database ${database} at ${at}`, true);
    case '3D000':
      return failure(`there is no database ${database} at ${at}`, true);
    case '53300':
      return failure(`Postgres at ${at} has no connection left`, false);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return failure(`the host ${host} is not known here`, false);
    default:
  }
  if (/SSL|TLS|certificate/i.test(`${code} ${message}`))
    return failure(`no TLS connection can be had with Postgres at ${at} (${sentenceOf(err)})`, true);
  if (/SASL|password must be a string/.test(message))
    return failure(`Postgres at ${at} asks for a password of user ${user}, and there is none`, true);
  return failure(`Postgres at ${at} does not answer (${code || sentenceOf(err)})`, false);
}
