/** Evidence of a run that was not right: what all ledgers said at the end, beside plan, operation log and the processes' own logs. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readOperationFacts } from './verify/facts.js';
import { readGateway } from './verify/invariants.js';
import { readPages, readStock } from './verify/postgres.js';
import { readSagas } from './verify/temporal.js';
import type { Installation } from './world/installation.js';

const PAGE_SIZE = 500;

/** One that cannot be read any more leaves the others. */
export async function keepEvidence({ folder, pool, direct, consumer }: Installation): Promise<void> {
  const ledgers: Record<string, () => Promise<unknown>> = {
    postgres: async () => {
      const pages: unknown[] = [];
      for await (const page of readPages(pool, PAGE_SIZE)) pages.push(page);
      return pages;
    },
    stock: () => readStock(pool),
    findings: async () => (await pool.query('SELECT * FROM reconciliation_findings')).rows,
    'saga-log': async () => (await pool.query('SELECT * FROM saga_log ORDER BY order_id, id')).rows,
    operations: async () => {
      const { keys, acts, ...facts } = await readOperationFacts(pool);
      return { ...facts, keys: [...keys], acts: [...acts] };
    },
    gateway: () => readGateway({ pool, direct }),
    temporal: () => readSagas(direct.temporal),
    consumer: async () => consumer.received,
  };
  for (const [name, read] of Object.entries(ledgers)) {
    const what = await read().catch((err: unknown) => ({ couldNotBeRead: (err as Error).message }));
    writeFileSync(join(folder, `ledger-${name}.json`), JSON.stringify(what, asText, 1));
  }
}

const asText = (_name: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);
