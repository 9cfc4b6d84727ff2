/** A connection as the role that the service has where it is deployed (deploy/postgres/roles.sql): not the owner of its tables. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { asAdmin, type TestDatabase } from './database.js';

export type AppRole = { db: DatabaseClient; close: () => Promise<void> };

/** `close` after the database is dropped: nothing of it may belong to the role any more. */
export async function openAsApp(t: TestDatabase): Promise<AppRole> {
  const role = `app_${randomUUID().replaceAll('-', '')}`;
  const owner = new pg.Client({ connectionString: t.url });
  await owner.connect();
  await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'app'`);
  await owner.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}`);
  await owner.query(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role}`);
  const roles = (await readFile('deploy/postgres/roles.sql', 'utf8')).replaceAll('order_saga_app', role);
  const [, ending = ''] = roles.split(/^GRANT USAGE ON ALL SEQUENCES.*$/m);
  for (const generator of ending.split('\\gexec').filter((statement) => statement.includes('SELECT')))
    for (const { format } of (await owner.query<{ format: string }>(generator)).rows) await owner.query(format);
  await owner.end();
  const db = openDatabase(Object.assign(new URL(t.url), { username: role, password: 'app' }).href, 2);
  const postgres = t.url.replace(/\/[^/?]+(\?|$)/, '/postgres$1');
  return {
    db,
    close: async () => {
      await db.$disconnect();
      await asAdmin(postgres, `DROP ROLE IF EXISTS ${role}`).catch(() => undefined);
    },
  };
}
