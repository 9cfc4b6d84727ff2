/** The bare route: what an HTTP answer after one durable INSERT costs on this machine, with nothing around it. */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import pg from 'pg';

/** @returns the port it listens on */
export async function startBareRoute(databaseUrl: string): Promise<number> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 16 });
  await pool.query('CREATE TABLE IF NOT EXISTS bare_orders (id uuid PRIMARY KEY, body jsonb NOT NULL)');
  const app = Fastify();
  app.post('/orders', async (request, reply) => {
    const id = randomUUID();
    await pool.query('INSERT INTO bare_orders VALUES ($1, $2)', [id, JSON.stringify(request.body)]);
    return reply.code(201).send({ id });
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}
