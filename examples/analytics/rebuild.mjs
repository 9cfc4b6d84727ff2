/**
 * Has the sums built anew, beside those that answer, which go on: DATABASE_URL=… node examples/analytics/rebuild.mjs
 * The program that runs (main.mjs) does it; the new ones take the old ones' place when they know as much.
 */
import pg from 'pg';
import { beginGeneration, readGeneration } from './store.mjs';

const db = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
await beginGeneration(db);
const built = await readGeneration(db, 'building');
process.stdout.write(built ? `Generation ${built.id} is being built.\n` : 'It has been built already.\n');
await db.end();
