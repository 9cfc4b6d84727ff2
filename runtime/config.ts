/**
 * Configuration: environment variables, read once per process in its main.ts, validated, frozen. A wrong value ends the
 * process with one sentence per variable. `process.env` is read nowhere else.
 */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { bool, type CleanedEnv, cleanEnv, EnvError, EnvMissingError, makeValidator, port, str } from 'envalid';
import { secretsFromFiles } from '../prisma/secret-files.mjs';
import { sessionConfig } from '../prisma/session.mjs';
import { leadingTo, PLAINTEXT_WORDS, plaintextRefusals } from './plain-text.js';
import { parseAuthority } from './listeners/host.js';
import { printableError } from './errors/facts.js';
import { concealSecrets, passwordsIn, scrub, withoutSecrets } from './errors/scrub.js';
import { openSecretFile } from './secret-files.js';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Parses `500ms`, `30s`, `2m`, `1h` or `7d`. @returns milliseconds. @throws EnvError on any other spelling. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match) throw new EnvError(`"${text}" is not a duration; write 500ms, 30s, 2m, 1h or 7d`);
  return Math.round(Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]);
}

const confidentials = new WeakSet<object>();
/** Marks a setting as one that no log may show, and that may come from a file: `<VARIABLE>_FILE`. */
const confidential = <S extends object>(spec: S): S => {
  confidentials.add(spec);
  return spec;
};
/** @returns the same kind of value, each setting of which is confidential */
const asSecret = <K extends (spec: never) => object>(kind: K): K =>
  ((spec: never) => confidential(kind(spec))) as unknown as K;

/** Written as text in the environment, read as milliseconds; a default is given in milliseconds. */
const durationMs = makeValidator<number>(parseDurationMs);
/** The same of what 0 turns off. */
const durationMsOrNone = makeValidator<number>((input) => (input === '0' ? 0 : parseDurationMs(input)));
/** What is younger may still be in hand: a refund that fails, a dispute. The database's own function refuses it, too. */
const RETENTION_MIN_MS = 90 * UNIT_MS.d;
const retentionMs = makeValidator<number>((input) => {
  const ms = input === '0' ? 0 : parseDurationMs(input);
  if (ms !== 0 && ms < RETENTION_MIN_MS) throw new EnvError(`"${input}" is less than 90d; 0 = for ever`);
  return ms;
});
/** A wrong URL is not shown in the error: there may be a password in it. */
const anyHttpUrl = makeValidator<string>((input) => {
  const url = URL.canParse(input) ? new URL(input) : undefined;
  if (/\s/.test(input) || (url?.protocol !== 'http:' && url?.protocol !== 'https:'))
    throw new EnvError('it is not an http(s) URL');
  return input.replace(/\/$/, '');
});
/**
 * @param leadsTo the neighbour, where plain text is refused (runtime/plain-text.ts); `link` is only shown, `laptop` is a part of
 *   what stands in for others, and `webhook` has WEBHOOK_ALLOW_PRIVATE as its own rule
 */
const httpUrl = (
  leadsTo: 'anchor' | 'issuer' | 'payments' | 'traces' | 'vault' | 'webhook' | 'link' | 'laptop',
): typeof anyHttpUrl =>
  leadsTo === 'anchor' || leadsTo === 'issuer' || leadsTo === 'payments' || leadsTo === 'traces' || leadsTo === 'vault'
    ? leadingTo(leadsTo, anyHttpUrl)
    : anyHttpUrl;
/** Kept to the letter: tokens must say the same. */
const issuer = leadingTo('issuer', str);
/** None of these is repeated in its error: there may be a password in it. */
const urlsOf = (protocols: string[], severalOf?: 'several') =>
  makeValidator<string>((input) => {
    const urls = severalOf ? input.split(',').map((url) => url.trim()) : [input];
    if (!urls.every((url) => URL.canParse(url) && protocols.includes(new URL(url).protocol)))
      throw new EnvError(`it must begin with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`);
    return input;
  });
const natsUrls = asSecret(leadingTo('nats', urlsOf(['nats:', 'tls:'], 'several')));
const amqpUrl = asSecret(leadingTo('rabbitmq', urlsOf(['amqp:', 'amqps:'])));
const kafkaBrokers = leadingTo(
  'kafka',
  makeValidator<string>((input) => {
    const brokers = input.split(',').map((each) => each.trim());
    if (!brokers.every((each) => /^[^\s:/@]+(:\d+)?$|^\[[\da-f:]+\]:\d+$/i.test(each)))
      throw new EnvError('it must look like host:9092,host:9092');
    return input;
  }),
);
function parsePostgresUrl(input: string): string {
  if (!/^postgres(ql)?:\/\/\S+$/.test(input))
    throw new EnvError('it must look like postgresql://user:password@host:5432/database');
  try {
    sessionConfig(input);
  } catch (err) {
    const { code, path } = err as NodeJS.ErrnoException;
    if (path !== undefined) throw new EnvError(`it names the file ${path}, which cannot be read (${code})`);
    throw new EnvError('it cannot be read as a URL; percent-encode what is special in user and password');
  }
  return input;
}
const postgresUrl = asSecret(leadingTo('postgres', makeValidator<string>(parsePostgresUrl)));
/** A Postgres of another cluster, or a file of this machine. */
const journalPlace = asSecret(
  leadingTo(
    'journal',
    makeValidator<string>((input) => {
      if (/^postgres(ql)?:/.test(input)) return parsePostgresUrl(input);
      if (!isAbsolute(input))
        throw new EnvError('it must be an absolute path, or postgresql://user:password@host/database');
      return input;
    }),
  ),
);
/** Goes into a header as it is, where nothing else may stand. */
const headerSecret = makeValidator<string>((input) => {
  if (!/^[\x21-\x7e]*$/.test(input)) throw new EnvError('it has a blank or another character that no key has in it');
  return input;
});
const secret = asSecret(headerSecret);
/** Several during a rotation, separated by blanks or commas; none of them has one in it. */
const secrets = asSecret(
  makeValidator<string>((input) => {
    if (!/^[\x21-\x7e]*( *[ ,] *[\x21-\x7e]+)*$/.test(input))
      throw new EnvError('it has a character that no secret has in it; several are separated by blanks');
    return input.split(/[ ,]+/).join(' ');
  }),
);

/** @returns the variables of a table that may be given by a file; a table that has the `_FILE` itself reads that by itself */
export const fileSecretsOf = (spec: object): string[] =>
  Object.entries(spec)
    .filter(([name, kind]) => confidentials.has(kind) && !(`${name}_FILE` in spec))
    .map(([name]) => name);

/** @returns the variables of a table whose values, or passwords in whose values, no log may show */
export const secretNamesOf = (spec: object): string[] =>
  Object.entries(spec)
    .filter(([name, kind]) => confidentials.has(kind) || /_(URL|ISSUER)$/.test(name))
    .map(([name]) => name);
const count = makeValidator<number>((input) => {
  const n = Number(input);
  if (!Number.isInteger(n) || n < 1) throw new EnvError(`"${input}" is not a whole number from 1`);
  return n;
});
/** @returns a kind whose values lie between the two, both included */
const countWithin = (least: number, most: number) =>
  makeValidator<number>((input) => {
    const n = Number(input);
    if (!Number.isInteger(n) || n < least || n > most)
      throw new EnvError(`"${input}" is not a whole number from ${least} to ${most}`);
    return n;
  });
/** @param least,most as they are written */
const durationWithin = (least: string, most: string) =>
  makeValidator<number>((input) => {
    const ms = parseDurationMs(input);
    if (ms < parseDurationMs(least) || ms > parseDurationMs(most))
      throw new EnvError(`"${input}" is not between ${least} and ${most}`);
    return ms;
  });

const origins = makeValidator<string>((input) => {
  const list = input.split(',').map((origin) => origin.trim());
  const wrong = list.find(
    (origin) => !/^https?:[^*]*$/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin,
  );
  if (wrong !== undefined) throw new EnvError(`"${scrub(wrong)}" is not an origin like https://shop.example`);
  return list.join(',');
});
/** Those that a client sends of its own accord: what is configured must not contradict them. */
const PROTOCOLS_OWN = new Set([
  ...['response_type', 'response_mode', 'client_id', 'redirect_uri', 'scope', 'state', 'nonce'],
  ...[
    'code',
    'code_challenge',
    'code_challenge_method',
    'code_verifier',
    'grant_type',
    'refresh_token',
    'client_secret',
  ],
]);
const authorizationParameters = makeValidator<string>((input) => {
  const given = [...new URLSearchParams(input).keys()];
  const wrong = given.find((name, i) => !/^\w{1,64}$/.test(name) || given.indexOf(name) !== i);
  if (wrong !== undefined)
    throw new EnvError('it must be a query like audience=https://orders.example, each name once');
  const own = given.find((name) => PROTOCOLS_OWN.has(name));
  if (own !== undefined) throw new EnvError(`"${own}" is the console's own to send`);
  return input;
});
const addresses = makeValidator<string>((input) => {
  const wrong = input.split(',').find((part) => {
    const [address = '', bits, ...more] = part.trim().split('/');
    const size = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
    return (
      more.length > 0 ||
      size < 0 ||
      (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) > 0 && Number(bits) <= size))
    );
  });
  if (wrong !== undefined) throw new EnvError(`"${wrong}" is not an address or a range like 10.0.0.0/8`);
  return input;
});
const redisUrl = asSecret(
  leadingTo(
    'redis',
    makeValidator<string>((input) => {
      if (!/^rediss?:\/\/\S+$/.test(input)) throw new EnvError('it must look like redis://host:6379');
      // The client takes all of its options from there: `tls=` ends TLS, and of two hosts it takes the second.
      const unfit = input.match(/[?&](?:tls|host|port|path|sentinels)=/);
      if (unfit) throw new EnvError('its host, its port and rediss:// do not belong behind a question mark');
      return input;
    }),
  ),
);
const plaintextWords = makeValidator<string>((input) => {
  const words = input.split(',').map((word) => word.trim().toLowerCase());
  const wrong = words.find((word) => !(PLAINTEXT_WORDS as readonly string[]).includes(word));
  if (wrong !== undefined) throw new EnvError(`"${wrong}" is not one of ${PLAINTEXT_WORDS.join(', ')}`);
  return words.join(',');
});
/** Standard Webhooks: the key of a signature has 24 to 64 random bytes. Fewer can be guessed from a single event. */
const SECRET_BYTES_MIN = 24;
const webhookSecrets = makeValidator<string>((input) => {
  const secrets = input.trim().split(/\s+/);
  if (!secrets.every((each) => /^(whsec_)?[A-Za-z0-9+/]+={0,2}$/.test(each)))
    throw new EnvError('it must be whsec_… (base64), or several of them separated by spaces');
  const bytes = secrets.map((each) => Buffer.from(each.replace(/^whsec_/, ''), 'base64').length);
  const short = bytes.findIndex((length) => length < SECRET_BYTES_MIN);
  if (short < 0) return input;
  const which = secrets.length > 1 ? `number ${short + 1} of its secrets` : 'it';
  throw new EnvError(
    `${which} has ${bytes[short]} bytes, base64 decoded; ${SECRET_BYTES_MIN} are the least. Make one: echo "whsec_$(openssl rand -base64 32)"`,
  );
});
/** A port or a wildcard would mean nothing: a name is allowed with every port, and alone. */
const hosts = makeValidator<string>((input) => {
  const list = input.split(',').map((name) => name.trim().toLowerCase());
  const wrong = list.find((name) => parseAuthority(name)?.name !== name);
  if (wrong !== undefined) throw new EnvError(`"${wrong}" is not a host's name or address, without a port`);
  return list.join(',');
});

const installationId = makeValidator<string>((input) => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/.test(input))
    throw new EnvError(`"${input}" is not an id of up to 64 letters, digits, dots, colons, dashes and underscores`);
  return input;
});

const KEY_STORE = /^(?:vault|file:\/[^\s,]{1,1000}|aws-kms:arn:[^\s,]{1,300}|gcp-kms:projects\/[^\s,]{1,500})$/;
const keyStores = makeValidator<string>((input) => {
  const words = input.split(',').map((word) => word.trim());
  const wrong = input === 'off' ? undefined : words.find((word) => !KEY_STORE.test(word));
  if (wrong !== undefined)
    throw new EnvError(`"${wrong.slice(0, 100)}" is not off, file:/path, vault, aws-kms:arn:… or gcp-kms:projects/…`);
  return words.join(',');
});
/** A part of a path at Vault. */
const pathName = makeValidator<string>((input) => {
  if (!/^[A-Za-z0-9][\w.-]{0,127}(?:\/[A-Za-z0-9][\w.-]{0,127}){0,4}$/.test(input))
    throw new EnvError(`"${input.slice(0, 100)}" is not a name of letters, digits, dots, dashes and underscores`);
  return input;
});

/** 0 = none. */
const portOrNone = makeValidator<number>((input) => {
  const n = Number(input);
  if (!Number.isInteger(n) || n < 0 || n > 65_535) throw new EnvError(`"${input}" is not a port from 1 to 65535, or 0`);
  return n;
});

/** The kinds of values; each takes envalid's `{ default, desc, choices }`. */
export const kinds = {
  addresses,
  amqpUrl,
  authorizationParameters,
  bool,
  confidential,
  count,
  countWithin,
  durationMs,
  durationMsOrNone,
  durationWithin,
  hosts,
  httpUrl,
  installationId,
  issuer,
  journalPlace,
  kafkaBrokers,
  keyStores,
  natsUrls,
  origins,
  pathName,
  plaintextWords,
  port,
  portOrNone,
  postgresUrl,
  redisUrl,
  retentionMs,
  secret,
  secrets,
  str,
  webhookSecrets,
};

/**
 * @param spec variable name → kind
 * @param env  usually `process.env`; an empty string counts as unset, as Compose files write it
 * @param more what else is refused, so that all of it is said at once
 * @returns the values, frozen; of a secret that came from a file always the present one: read it where it is used
 * @throws ConfigError naming every wrong variable, and every one that leads somewhere in plain text
 */
export function readConfig<S>(
  spec: S,
  env: NodeJS.ProcessEnv,
  more: (env: NodeJS.ProcessEnv) => string[] = () => [],
): CleanedEnv<S> {
  const files = secretsFromFiles(fileSecretsOf(spec as object), env);
  const given: NodeJS.ProcessEnv = { ...env, ...files.values };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
  concealSecrets(secretsOf(spec as object, set));
  const unclean = Object.keys(set).filter((name) => isRead(name, spec as object) && UNCLEAN.test(set[name] ?? ''));
  /** As the operator gave it. */
  const placeOf = (name: string) => (files.paths[name] === undefined ? name : `${name}_FILE ${files.paths[name]}`);
  const values = cleanEnv(set, spec, {
    reporter: ({ errors, env: cleaned }) => {
      const sentences = Object.entries(errors)
        .filter(([name]) => !unclean.includes(name) && files.faults[name] === undefined)
        .map(([name, error]) =>
          error instanceof EnvMissingError
            ? `${name} is not set.`
            : `${placeOf(name)} is wrong: ${(error as Error).message}.`,
        );
      sentences.push(...Object.values(files.faults));
      sentences.push(...unclean.map((name) => `${placeOf(name)} is wrong: ${UNCLEAN_SENTENCE}.`));
      sentences.push(
        ...plaintextRefusals(spec as object, { values: cleaned as object as Values, env: set }),
        ...more(env),
      );
      if (sentences.length > 0) throw new ConfigError(sentences.join('\n'));
    },
  });
  // A plain frozen object: envalid's own is a proxy that throws on unknown keys, which trips structured logging.
  const config = { ...values };
  for (const [name, path] of Object.entries(files.paths)) {
    const file = { variable: `${name}_FILE`, path };
    const get = openSecretFile(file, config[name as never], (text) => parseAlone(spec, name, { ...env, [name]: text }));
    Object.defineProperty(config, name, { get });
  }
  return Object.freeze(config) as CleanedEnv<S>;
}

/** As at the start, to the same rules. */
function parseAlone<S>(spec: S, name: string, env: NodeJS.ProcessEnv): never {
  const only = { [name]: (spec as Record<string, unknown>)[name] };
  return readConfig(only, { ...env, [`${name}_FILE`]: '' })[name] as never;
}

type Values = Readonly<Record<string, unknown>>;
/** Of Temporal's and Postgres' own variables, which their libraries read. */
const SECRETS_OF_OTHERS = ['TEMPORAL_API_KEY', 'TEMPORAL_CODEC_AUTH', 'PGPASSWORD'];

function secretsOf(spec: object, set: Record<string, string | undefined>): string[] {
  return [...secretNamesOf(spec), ...SECRETS_OF_OTHERS].flatMap((name) => {
    const value = set[name] ?? '';
    if (value.includes('://')) return passwordsIn(value);
    return /_(URL|ISSUER)$/.test(name) ? [] : value.split(/\s+/); // several during a rotation
  });
}

/**
 * A file that ends with a line break makes such values, and a process that uses them fails for ever: they are headers,
 * names and addresses. Temporal's own variables are read by its library; those that hold whole files have line breaks.
 */
const UNCLEAN = /\p{Cc}|^\s|\s$/u;
const UNCLEAN_SENTENCE = 'it has a line break or another control character in it, or a blank at an end';
const isRead = (name: string, spec: object) => name in spec || /^TEMPORAL_(?!.*_DATA$)/.test(name);

export class ConfigError extends Error {
  override name = 'ConfigError';
}

/** Runs a process's main; a wrong configuration ends it with sentences instead of a stack. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (err) {
    process.stderr.write(`${err instanceof ConfigError ? withoutSecrets(err.message) : printableError(err)}\n`);
    process.exit(err instanceof ConfigError ? 78 : 1); // 78 = EX_CONFIG of sysexits.h
  }
}
