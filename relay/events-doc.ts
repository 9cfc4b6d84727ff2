/** Writes docs/events.md and contracts/schemas/: `npm run events-doc`. A test fails while they differ from the code. */
import { writeFileSync } from 'node:fs';
import { eventsDocument, schemaFiles } from './events-document.js';

for (const [name, content] of schemaFiles()) writeFileSync(`contracts/schemas/${name}`, content);
writeFileSync('docs/events.md', eventsDocument());
