/** Writes docs/metrics.md: `npm run metrics-doc`. A test fails while it differs from the code. */
import { writeFileSync } from 'node:fs';
import { metricsDocument } from './metrics-document.js';

writeFileSync('docs/metrics.md', await metricsDocument());
