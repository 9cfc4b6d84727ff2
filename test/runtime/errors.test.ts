/**
 * What others' errors carry (rows, parameters, passwords, bodies, arguments) stays out of whatever we log or pass on. Each error
 * here is made by the library itself, of inputs that are canaries.
 */
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fastify } from 'fastify';
import { Redis } from 'ioredis';
import { jwtVerify } from 'jose';
import pg from 'pg';
import { pino } from 'pino';
import Stripe from 'stripe';
import { sessionConfig } from '../../prisma/session.mjs';
import { ConfigError, readConfig, secretNamesOf } from '../../runtime/config.js';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { describeError, printableError, sentenceOf } from '../../runtime/errors/facts.js';
import { SAFE } from '../../runtime/logger.js';
import { settings } from '../../runtime/settings.js';
import { startStrictRedis } from '../support/canaries.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const CANARY = 'canary-4f7e';
let database: TestDatabase;
const servers: { close(): void }[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  for (const server of servers) server.close();
  await database.drop();
});

const listen = async (server: Server): Promise<number> => {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};
const thrownBy = async (act: () => unknown): Promise<Error> => {
  try {
    await act();
  } catch (err) {
    return err as Error;
  }
  throw new Error('nothing was thrown');
};
const sayings = (err: unknown) => [JSON.stringify(describeError(err)), sentenceOf(err), printableError(err)].join('\n');

const insertCanary = (db: Pick<DatabaseClient, '$executeRaw'>) => db.$executeRaw`
  INSERT INTO inventory (sku, name, unit_price, currency, available, reserved, sold, on_hand_total)
  VALUES (${CANARY}, ${CANARY}, -1, 'USD', 0, 0, 0, 0)`;

/** Library → an error of its own that carries the canary, and what must be left of it. */
const MAKERS: [string, () => Promise<unknown>, Record<string, unknown>][] = [
  [
    'Prisma, a violated CHECK, with the row in its detail',
    () => thrownBy(() => database.db.$transaction((tx) => insertCanary(tx))),
    { sqlState: '23514' },
  ],
  [
    'a raw statement, a violated CHECK, with the row in its detail',
    () => thrownBy(() => insertCanary(database.db)),
    { type: 'DatabaseError', sqlState: '23514', table: 'inventory', constraint: 'inventory_unit_price_check' },
  ],
  [
    'Prisma, a value that is none of its type',
    () => thrownBy(() => database.db.$transaction((tx) => tx.$queryRaw`SELECT ${CANARY}::text::uuid`)),
    { sqlState: '22P02' },
  ],
  [
    'a raw statement, a value that is none of its type',
    () => thrownBy(() => database.db.$queryRaw`SELECT ${CANARY}::text::uuid`),
    { type: 'DatabaseError', sqlState: '22P02' },
  ],
  [
    'Prisma, a call that it does not understand',
    () => thrownBy(() => database.db.order.findMany({ where: { [CANARY]: CANARY } as never })),
    { type: 'PrismaClientValidationError' },
  ],
  [
    'Prisma, a Postgres that does not answer',
    async () => {
      const away = openDatabase(`postgresql://u:${CANARY}@127.0.0.1:1/${CANARY}`, 1);
      return await thrownBy(() => away.order.findMany({ where: { customerId: CANARY } })).finally(() =>
        away.$disconnect(),
      );
    },
    { message: expect.stringContaining('DatabaseNotReachable') },
  ],
  [
    'a raw statement, a Postgres that does not answer',
    async () => {
      const away = openDatabase(`postgresql://u:${CANARY}@127.0.0.1:1/${CANARY}`, 1);
      return await thrownBy(() => away.$queryRaw`SELECT ${CANARY}`).finally(() => away.$disconnect());
    },
    { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' },
  ],
  [
    'pg, a violated constraint, with row, statement and parameters',
    async () => {
      const client = new pg.Client(sessionConfig(database.url));
      await client.connect();
      try {
        await client.query('CREATE TEMP TABLE canaries (word text CONSTRAINT no_canaries CHECK (word = $$none$$))');
        return await thrownBy(() => client.query('INSERT INTO canaries VALUES ($1)', [CANARY]));
      } finally {
        await client.end();
      }
    },
    { sqlState: '23514', constraint: 'no_canaries', table: 'canaries', severity: 'ERROR' },
  ],
  [
    'ioredis, a password that is refused',
    async () => {
      const { port, stop } = await startStrictRedis();
      servers.push({ close: stop });
      const redis = new Redis(`redis://:${CANARY}@127.0.0.1:${port}`, {
        maxRetriesPerRequest: 0,
        enableReadyCheck: false,
      });
      const error = await new Promise((resolve) => redis.on('error', resolve));
      redis.disconnect();
      return error;
    },
    { code: 'WRONGPASS', command: 'hello' },
  ],
  [
    'Stripe, a refusal whose body echoes the request in every field',
    async () => {
      const error = Object.fromEntries(
        ['message', 'code', 'decline_code', 'param', 'charge', 'doc_url'].map((field) => [field, `${field}-${CANARY}`]),
      );
      const answer = JSON.stringify({ error: { type: 'card_error', ...error } });
      const port = await listen(
        createServer((_, response) =>
          response.writeHead(402, { 'request-id': CANARY, connection: 'close' }).end(answer),
        ),
      );
      const stripe = new Stripe(`sk_test_${CANARY}`, {
        host: '127.0.0.1',
        port,
        protocol: 'http',
        maxNetworkRetries: 0,
      });
      return thrownBy(() => stripe.paymentIntents.create({ amount: 1, currency: 'usd', description: CANARY }));
    },
    { type: 'StripeCardError', status: 402 },
  ],
  [
    'fetch, with a password in its URL',
    () => thrownBy(() => fetch(`http://user:${CANARY}@127.0.0.1/?${CANARY}`)),
    { type: 'TypeError' },
  ],
  [
    'jose, a token that is none',
    () => thrownBy(() => jwtVerify(`e30.${CANARY}`, new Uint8Array(32))),
    { code: expect.stringMatching(/^ERR_JW/) },
  ],
  ['the engine, a text that is no JSON', () => thrownBy(() => JSON.parse(CANARY)), { type: 'SyntaxError' }],
  [
    'the engine, a value in a sentence of its own',
    () => thrownBy(() => 'x' in (CANARY as never)),
    { type: 'TypeError' },
  ],
  ['Node, a text that is no URL', () => thrownBy(() => new URL(CANARY)), { code: 'ERR_INVALID_URL' }],
  ['somebody who throws a text', async () => CANARY, { type: 'string' }],
  [
    'a sentence of ours, with such an error as its cause',
    async () => new Error('ours', { cause: await thrownBy(() => JSON.parse(CANARY)) }),
    { message: 'ours', cause: expect.objectContaining({ type: 'SyntaxError' }) },
  ],
  [
    'an error whose message imitates frames of ours',
    async () =>
      Object.assign(await thrownBy(() => JSON.parse('{')), {
        message: `x\n    at ${CANARY} (${import.meta.filename}:1:1)`,
      }),
    { type: 'SyntaxError' },
  ],
];

describe.each(MAKERS)('of %s', (_, make, left) => {
  let error: unknown;
  beforeAll(async () => {
    error = await make();
  });

  test('its kind is left, and nothing that it carries', () => {
    expect(describeError(error)).toMatchObject(left);
    expect(sayings(error)).not.toContain(CANARY);
  });

  test('no way of logging it shows more', () => {
    const lines: string[] = [];
    const logger = Object.assign(
      pino({ ...SAFE, level: 'trace' }, { write: (line: string) => void lines.push(line) }),
      {
        serializers: SAFE.serializers,
      },
    );
    const { message } = error as Error;
    const ofFastify = fastify({ loggerInstance: logger }).log;
    for (const log of [logger, logger.child({ correlationId: 'c' }), ofFastify]) {
      log.error({ err: error }, 'it failed');
      log.error({ err: error });
      log.error({ err: error }, message);
      if (error instanceof Object) log.error(error);
      if (error instanceof Object) log.warn({ reason: error, error, about: { errors: [error] } }, 'it failed');
    }
    expect(lines.length).toBeGreaterThanOrEqual(9);
    const errors = error instanceof Object ? lines : []; // a text is thrown, never logged as one
    expect(errors.join('')).not.toContain(CANARY);
  });
});

test('a sentence of ours is said as it is, without userinfo, query, tokens, keys and addresses of people', () => {
  expect(sentenceOf(new Error('Order 7 has no payment'))).toBe('Order 7 has no payment');
  const said = sentenceOf(
    new Error(
      'https://user:pa/ss?w@host.example/path?token=canary answered 500: Bearer canary.x.y, sk_test_canary1, whsec_canary22, jane@example.com',
    ),
  );
  expect(said).toContain('https://host.example/path answered 500');
  expect(said).not.toMatch(/canary|pa\/ss|jane/);
});

test('an error whose properties throw, whose message is none, or that causes itself is described all the same', () => {
  const broken = Object.defineProperty(new Error('x'), 'cause', {
    get: () => {
      throw new Error(CANARY);
    },
  });
  const own = new Error('own');
  own.cause = own;
  for (const error of [broken, Object.assign(new Error('x'), { message: 7, stack: 7 }), own])
    expect(sayings(error)).not.toContain(CANARY);
});

test('an error that cannot be reached says so as Node does, without a name that a URL may have given it', async () => {
  const refused = await thrownBy(() =>
    new pg.Client({ host: '127.0.0.1', port: 1, user: 'u', password: CANARY }).connect(),
  );
  expect(sentenceOf(refused)).toBe('connect ECONNREFUSED 127.0.0.1:1');
});

const SECRETS = secretNamesOf(settings);

test('every variable that holds a secret is known as one', () => {
  const isSecret = (name: string) => /SECRET|PASSWORD|_KEY$|_URL$|TOKEN$/.test(name) && name !== 'VAULT_TRANSIT_KEY'; // a key's name
  const named = Object.keys(settings).filter(isSecret);
  expect(SECRETS).toEqual(expect.arrayContaining(named));
});

test.each(SECRETS)('a wrong %s is refused without its value', (name) => {
  // A host is no secret: a refusal may name where it leads.
  for (const wrong of [
    `${CANARY} ${CANARY}`,
    `:${CANARY}@`,
    `http:/:${CANARY}@host`,
    `redis://:${CANARY}@host\u0007`,
  ]) {
    try {
      readConfig({ [name]: settings[name as keyof typeof settings] }, { [name]: wrong });
    } catch (err) {
      expect(err).toBeInstanceOf(ConfigError);
      expect((err as Error).message).toContain(name);
      expect((err as Error).message).not.toContain(CANARY);
    }
  }
});

test('once read, a secret is in no line, whoever writes it into one', () => {
  const secret = 'sEcRet"of\\length';
  readConfig(
    { KAFKA_PASSWORD: settings.KAFKA_PASSWORD, RABBITMQ_URL: settings.RABBITMQ_URL },
    {
      KAFKA_PASSWORD: secret,
      RABBITMQ_URL: 'amqp://user:p%40ssw0rd-long@127.0.0.1',
    },
  );
  const lines: string[] = [];
  const logger = pino({ ...SAFE }, { write: (line: string) => void lines.push(line) });
  logger.info({ about: { deep: secret, url: 'p@ssw0rd-long' } }, `the password is ${secret}, p%40ssw0rd-long`);
  expect(lines.join('')).not.toMatch(/sEcRet|ssw0rd/);
});
