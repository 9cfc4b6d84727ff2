/**
 * Writes api/openapi.json, the contract as committed: `npm run openapi`. A test fails while it differs from the code, and
 * another while it breaks the last release, which `npm run openapi -- release` keeps beside it.
 */
import { writeFileSync } from 'node:fs';
import { pino } from 'pino';
import type { ApiDependencies } from './dependencies.js';
import { createServer } from './server.js';

// The document is made of the routes' schemas alone; no handler runs, so nothing that a handler needs is needed.
const app = await createServer({} as ApiDependencies, pino({ level: 'silent' }));
await app.ready();
const document = app.swagger();
const text = `${JSON.stringify(document, null, 2)}\n`;
writeFileSync('api/openapi.json', text);
if (process.argv.includes('release')) writeFileSync(`api/released/openapi-v${document.info.version}.json`, text);
await app.close();
