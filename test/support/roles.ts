/** deploy/postgres/roles.sql, as the image runs it, without psql. */
import { readFileSync } from 'node:fs';
import pg from 'pg';

export const OWNER = 'order_saga_owner';
export const PASSWORD = 'of-a-test';

/** @param admin at the database `postgres`. Run anew after the migrations it grants what they made before. */
export async function runRoles(admin: string): Promise<void> {
  const [first = '', second = ''] = readFileSync('deploy/postgres/roles.sql', 'utf8')
    .replaceAll(/^(--|\\set|\\getenv).*$/gm, '')
    .replaceAll(/:'\w+_password'/g, `'${PASSWORD}'`)
    .split('\\connect order_saga\n');
  const at = new URL(admin);
  await runScript(at.href, first);
  at.pathname = '/order_saga';
  await runScript(at.href, second);
}

/** Statements end with `;` or, where what they answer is to be run, with `\gexec`. */
async function runScript(url: string, script: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const [, statement = '', end] of script.matchAll(/\s*(.+?)(;|\\gexec)\s*$/gms)) {
      const { rows } = await client.query(statement);
      if (end === ';') continue;
      for (const row of rows) await client.query(`${Object.values(row)[0]}`);
    }
  } finally {
    await client.end();
  }
}
