/**
 * Plans: how Postgres carries out what the domain asks of it. Each statement is explained, with the values it really has,
 * just before it runs, in a transaction that is rolled back; so the plan is the one that users get.
 */
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { PrismaClient } from '../../prisma/generated/client.js';

export type Plan = {
  statement: string;
  /** Tables of which every row was looked at. */
  scanned: string[];
  /** Rows that went into the largest sort. */
  sorted: number;
  /** 8-KiB pages that were looked at, each time it was. */
  pages: number;
};

export type ExplainedDatabase = {
  db: PrismaClient;
  /** @returns the plans of the statements that `work` had carried out */
  plansOf: (work: () => Promise<unknown>) => Promise<Plan[]>;
  close: () => Promise<void>;
};

type Node = {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Node[];
};

export function openExplainedDatabase(url: string): ExplainedDatabase {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  const explainer = new pg.Pool({ connectionString: url, max: 1 });
  let plans: Plan[] = [];
  const run = pool.query.bind(pool) as (query: pg.QueryConfig) => Promise<pg.QueryResult>;
  const explainThenRun = async (query: pg.QueryConfig) => {
    plans.push(await explain(explainer, query));
    return run(query);
  };
  pool.query = explainThenRun as unknown as typeof pool.query;
  const db = new PrismaClient({ adapter: new PrismaPg(pool) });
  return {
    db,
    plansOf: async (work) => {
      plans = [];
      await work();
      return plans;
    },
    close: async () => {
      await db.$disconnect();
      await Promise.all([pool.end(), explainer.end()]);
    },
  };
}

async function explain(pool: pg.Pool, { text, values }: pg.QueryConfig): Promise<Plan> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const { rows } = await client.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values);
    const root = rows[0]['QUERY PLAN'][0].Plan as Node;
    const nodes = flatten(root);
    const scans = nodes.filter((node) => node['Node Type'] === 'Seq Scan');
    const sorts = nodes.filter((node) => node['Node Type'] === 'Sort');
    return {
      statement: text.replace(/\s+/g, ' ').trim(),
      scanned: scans.map((node) => node['Relation Name'] ?? ''),
      sorted: Math.max(0, ...sorts.flatMap(({ Plans = [] }) => Plans.map(rowsOf))),
      pages: root['Shared Hit Blocks'] + root['Shared Read Blocks'],
    };
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

const rowsOf = (node: Node): number => node['Actual Rows'] * node['Actual Loops'];
const flatten = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flatten)];
