/** Writes docs/privacy.md and contracts/schemas/exports/: `npm run privacy-doc`. A test fails while they differ from the code. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { EXPORT_SCHEMA_FILE, exportSchemaText, privacyDocument } from './privacy-document.js';

mkdirSync('contracts/schemas/exports', { recursive: true });
writeFileSync(EXPORT_SCHEMA_FILE, exportSchemaText());
writeFileSync('docs/privacy.md', privacyDocument());
