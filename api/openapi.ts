/** Writes api/openapi.json, the contract as committed: `npm run openapi`. A test fails while it differs from the code. */
import { writeFileSync } from 'node:fs';
import { pino } from 'pino';
import type { ApiDependencies } from './dependencies.js';
import { createServer } from './server.js';

// The document is made of the routes' schemas alone; no handler runs, so nothing that a handler needs is needed.
const app = await createServer({} as ApiDependencies, pino({ level: 'silent' }));
await app.ready();
writeFileSync('api/openapi.json', `${JSON.stringify(app.swagger(), null, 2)}\n`);
await app.close();
