/**
 * What may be said of an error that others have made: an allow-list per family of libraries. Codes, names and numbers of their
 * own; never a message, a row, a statement, a parameter, a body or an argument, since all of these carry what was sent.
 */
import { isIP } from 'node:net';

/** Of a foreign error, all that leaves this process. */
export type ForeignFacts = {
  code?: string | number;
  /** Of Postgres: SQLSTATE, and which constraint of which table was violated. */
  sqlState?: string;
  severity?: string;
  constraint?: string;
  table?: string;
  /** Of a Postgres that has not answered, the word of Prisma's for it: its own code says only that a statement failed. */
  kind?: string;
  /** Of Node: which call, to which address. */
  syscall?: string;
  address?: string;
  port?: number;
  /** Of an HTTP API: its status, and the request as the API's operators know it. */
  status?: number;
  requestId?: string;
  /** Of Redis: the command's name, never its arguments. */
  command?: string;
};

type Foreign = Record<string, unknown>;

export function foreignFacts(type: string, error: object): ForeignFacts {
  const foreign = error as Foreign;
  const facts = type.startsWith('Stripe') ? ofStripe(foreign) : ofOthers(type, foreign);
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as ForeignFacts;
}

/** Its words are those of the answer's body, whoever wrote that: a code is a word in small letters. */
const ofStripe = ({ code, statusCode, requestId }: Foreign) => ({
  code: matching(code, /^[a-z][a-z_]{1,63}$/),
  status: whole(statusCode, 100, 599),
  requestId: matching(requestId, /^req_\w{1,40}$/),
});

const ofOthers = (type: string, foreign: Foreign) => ({
  code: codeOf(type, foreign),
  syscall: matching(foreign['syscall'], /^[a-z]{2,20}$/),
  address: typeof foreign['address'] === 'string' && isIP(foreign['address']) > 0 ? foreign['address'] : undefined,
  port: whole(foreign['port'], 1, 65_535),
  status: whole(foreign['statusCode'], 100, 599),
  command: matching((foreign['command'] as Foreign | undefined)?.['name'], /^[a-z]{1,20}$/i),
  ...ofPostgres(foreign),
});

function codeOf(type: string, { code, message, apiId, details }: Foreign): string | number | undefined {
  if (typeof code === 'number') return typeof details === 'string' ? (GRPC[code] ?? code) : code;
  if (type === 'ReplyError') return REDIS_WORD.exec(String(message))?.[0];
  return (
    matching(apiId, /^[A-Z][A-Z0-9_]{2,63}$/) ?? // of Kafka: more to the point than the client's own
    matching(code, /^[A-Z][A-Z0-9_]{2,63}$|^[0-9A-Z]{5}$/) ??
    // Temporal's core has it in its text only.
    (type === 'TransportError' ? OF_CORE.exec(String(message))?.slice(1).find(Boolean) : undefined)
  );
}
const OF_CORE =
  /\bcode: ['"]?([A-Z][A-Za-z]{1,30})\b|\bkind: (?!Uncategorized)([A-Z][A-Za-z]{1,30})\b|ConnectError\("(dns error)"/;
const REDIS_WORD =
  /^(?:WRONGPASS|NOAUTH|NOPERM|ERR|LOADING|READONLY|OOM|BUSY|MASTERDOWN|MISCONF|NOREPLICAS|TRYAGAIN)\b/;

/** https://grpc.io/docs/guides/status-codes/ */
const GRPC = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'],
  ...['INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];

const IDENTIFIER = /^[a-z_][a-z0-9_]{0,62}$/;
/** Integrity constraint violations: the only messages of Postgres' whose quoted words are all names of its own. */
const VIOLATION = /^23/;

/** The driver's own error, or what Prisma and its adapter keep of it. */
function ofPostgres(foreign: Foreign) {
  const kept = keptByPrisma(foreign);
  const source: Foreign = kept ?? foreign;
  const sqlState = matching(
    source['originalCode'] ?? (kept || 'severity' in foreign ? source['code'] : undefined),
    /^[0-9A-Z]{5}$/,
  );
  if (sqlState === undefined) return { kind: matching(adapterCauseOf(foreign)?.['kind'], /^[A-Z][A-Za-z]{2,40}$/) };
  const named = VIOLATION.test(sqlState)
    ? quotedNames(String(source['originalMessage'] ?? source['message'] ?? ''))
    : [];
  const constraint = source['constraint'] ?? foreign['constraint'];
  return {
    sqlState,
    severity: matching(source['severity'], /^[A-Z]{3,10}$/),
    table: matching(source['table'], IDENTIFIER) ?? (named.length > 1 ? named[0] : undefined),
    constraint:
      matching(constraint, IDENTIFIER) ??
      matching((constraint as Foreign | undefined)?.['index'], IDENTIFIER) ??
      named.at(-1),
  };
}

function keptByPrisma(foreign: Foreign): Foreign | undefined {
  const kept = adapterCauseOf(foreign);
  return kept && 'originalCode' in kept ? kept : undefined;
}

function adapterCauseOf({ meta, cause, name }: Foreign): Foreign | undefined {
  const adapterError = ((meta as Foreign | undefined)?.['driverAdapterError'] ??
    (name === 'DriverAdapterError' ? { cause } : cause)) as Foreign | undefined;
  const kept = adapterError?.['cause'];
  return typeof kept === 'object' && kept !== null ? (kept as Foreign) : undefined;
}

/** In whatever quotes the server's language has. */
const quotedNames = (text: string): string[] =>
  [...text.matchAll(/["«»„“]([a-z_][a-z0-9_]{0,62})["«»“”]/g)].map(([, name = '']) => name);

const matching = (value: unknown, pattern: RegExp): string | undefined =>
  typeof value === 'string' && pattern.test(value) ? value : undefined;

const whole = (value: unknown, min: number, max: number): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined;

/** Phrases of others that say what happened and carry nothing: of what matches, the matching part is kept. */
const PHRASES = [
  /^(?:timeout exceeded when trying to connect|timeout expired|Query read timeout)/,
  /^Connection terminated(?: unexpectedly| due to connection timeout)?/,
  /^Client has encountered a connection error and is not queryable/,
  /^The server does not support SSL connections/,
  /^SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a (?:non-empty )?string/,
  /^(?:self[- ]signed certificate(?: in certificate chain)?|certificate has expired)/,
  /^unable to (?:verify the first certificate|get (?:local )?issuer certificate)/,
  /^Hostname\/IP does not match certificate's altnames/,
  /^Client network socket disconnected before secure TLS connection was established/,
  /^(?:socket hang up|fetch failed|terminated|other side closed)/,
  /^(?:This|The) operation was aborted(?: due to timeout)?/,
  /^(?:Connection is closed|Command timed out|Stream isn't writeable)/,
  /^Cannot (?:read|set) properties of (?:undefined|null)/,
  /^(?:Activity task failed|Workflow Update failed|Failed to \w+ Workflow|activity \w+ timeout)/i,
  /^(?:Authorization Violation|Authentication Timeout)/i,
  /^(?:SASL authentication failed|Cannot connect to any broker)/i,
];

export function knownPhrase(message: unknown): string | undefined {
  if (typeof message !== 'string') return undefined;
  for (const phrase of PHRASES) {
    const said = phrase.exec(message)?.[0];
    if (said !== undefined) return said;
  }
  return undefined;
}
