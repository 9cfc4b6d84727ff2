/**
 * Which settings lead to a neighbour, and whether what is sent there could be read on the way: the rule by which a start is
 * refused unless ALLOW_PLAINTEXT names that neighbour (prisma/plain-text.mjs). Each kind of address in runtime/config.ts says
 * where it leads, or why the rule does not concern it: a new setting cannot be forgotten.
 */
import { allowedInPlainText, isOnThisMachine, plainTextSentence } from '../prisma/plain-text.mjs';
import { protectionOf } from '../prisma/session.mjs';

export const PLAINTEXT_WORDS = [
  'anchor',
  'issuer',
  'kafka',
  'nats',
  'payments',
  'postgres',
  'rabbitmq',
  'redis',
  'temporal',
  'traces',
  'vault',
] as const;
type Word = (typeof PLAINTEXT_WORDS)[number];

/** What is known when a start is judged: the cleaned values of a table, and the environment that they are from. */
type Start = { values: Readonly<Record<string, unknown>>; env: NodeJS.ProcessEnv };

/** The way that a kind of setting leads to. */
export type Line = {
  word: Word;
  /** How to have TLS instead, as an imperative. */
  remedy: string;
  /** @returns the hosts that would be spoken to without TLS, this machine's own among them */
  plainHosts(value: string, start: Start): string[];
};

const LINES = {
  postgres: {
    word: 'postgres',
    remedy: 'add sslmode=verify-full to it',
    plainHosts: (url, { env }) => {
      const { host, tls } = protectionOf(url, env);
      return tls === 'none' ? [host] : [];
    },
  },
  journal: {
    word: 'postgres',
    remedy: 'add sslmode=verify-full to it',
    plainHosts: (place, { env }) => {
      if (!URL.canParse(place)) return []; // a path
      const { host, tls } = protectionOf(place, env);
      return tls === 'none' ? [host] : [];
    },
  },
  redis: { word: 'redis', remedy: 'write rediss://', plainHosts: (url) => hostsOf(url, ['redis:']) },
  rabbitmq: { word: 'rabbitmq', remedy: 'write amqps://', plainHosts: (url) => hostsOf(url, ['amqp:']) },
  nats: {
    word: 'nats',
    remedy: 'write tls://',
    // One tls:// among them is enough: the client then takes no server without it.
    plainHosts: (urls) => {
      const list = urls.split(',').map((url) => url.trim());
      return list.some((url) => /^tls:/i.test(url)) ? [] : list.flatMap((url) => hostsOf(url, ['nats:']));
    },
  },
  kafka: {
    word: 'kafka',
    remedy: 'set KAFKA_TLS=true',
    plainHosts: (brokers, { values }) =>
      values['KAFKA_TLS'] === true ? [] : brokers.split(',').map((broker) => broker.trim().replace(/:\d+$/, '')),
  },
  anchor: { word: 'anchor', remedy: 'write https://', plainHosts: (url) => hostsOf(url, ['http:']) },
  issuer: { word: 'issuer', remedy: 'write https://', plainHosts: (url) => hostsOf(url, ['http:']) },
  vault: { word: 'vault', remedy: 'write https://', plainHosts: (url) => hostsOf(url, ['http:']) },
  traces: { word: 'traces', remedy: 'write https://', plainHosts: (url) => hostsOf(url, ['http:']) },
  payments: {
    word: 'payments',
    remedy: 'write https://',
    // With a test key no money moves.
    plainHosts: (url, { values }) => (isLive(values['STRIPE_API_KEY']) ? hostsOf(url, ['http:']) : []),
  },
} satisfies Record<string, Line>;
export type LineName = keyof typeof LINES;

/** sk_live_…, rk_live_…, and whatever Stripe may call keys that are not for tests. */
const isLive = (key: unknown): boolean => typeof key === 'string' && key !== '' && !/^[a-z]+(_org)?_test_/.test(key);

/** @returns the host, if it is a URL of one of these protocols */
function hostsOf(text: string, protocols: string[]): string[] {
  if (!URL.canParse(text)) return [];
  const { protocol, hostname, searchParams } = new URL(text);
  return protocols.includes(protocol) ? [hostname || (searchParams.get('host') ?? 'localhost')] : [];
}

type Kind = (spec?: never) => object;

/** @returns the same kind, whose settings lead there */
export function leadingTo<K>(name: LineName, kind: K): K {
  const marked = (spec: never) => Object.assign((kind as Kind)(spec), { line: LINES[name] });
  return marked as K;
}

/** @param spec variable → kind @returns a sentence for each setting that is refused */
export function plaintextRefusals(spec: object, start: Start): string[] {
  return Object.entries(spec).flatMap(([variable, { line }]: [string, { line?: Line }]) => {
    const value = start.values[variable];
    if (line === undefined || typeof value !== 'string' || value === '') return [];
    return refusalOf({ variable, ...line, hosts: line.plainHosts(value, start), env: start.env });
  });
}

type Judged = { variable: string; word: Word; remedy: string; hosts: string[]; env: NodeJS.ProcessEnv };

/** @returns at most one sentence: the first host beyond this machine says enough */
export function refusalOf({ variable, word, remedy, hosts, env }: Judged): string[] {
  const beyond = hosts.find((host) => !isOnThisMachine(host));
  if (beyond === undefined || allowedInPlainText(env).includes(word)) return [];
  return [plainTextSentence(variable, beyond, word, remedy)];
}

/** Whether what is fetched from there could be read, and changed, on the way. */
export const isPlainHttp = (url: string): boolean => hostsOf(url, ['http:']).some((host) => !isOnThisMachine(host));
