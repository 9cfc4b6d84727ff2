/** What a demonstration has left in the database, removed at the next start: the destination that only its receiver was. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writePrivate } from '../data-dir.js';
import { withClient } from '../setup/migrate.js';
import { DEMO_DESTINATION } from './receiver.js';

const noteOf = (dataDir: string): string => join(dataDir, 'demo-destination');

export const noteDestination = (dataDir: string): void => writePrivate(noteOf(dataDir), DEMO_DESTINATION);

/** Else its events would be kept for a receiver that is gone, and one of the user's own would begin in the middle. */
export async function forgetDestination(dataDir: string, databaseUrl: string): Promise<void> {
  if (!existsSync(noteOf(dataDir))) return;
  await withClient(databaseUrl, async (client) => {
    await client.query('BEGIN');
    for (const table of ['dead_letters', 'relay_members', 'relay_destinations', 'relay_cursors'])
      await client.query(`DELETE FROM ${table} WHERE destination = $1`, [DEMO_DESTINATION]);
    await client.query('COMMIT');
  });
  rmSync(noteOf(dataDir), { force: true });
}
