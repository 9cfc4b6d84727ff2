/**
 * Plans: how Postgres carries out what the domain asks of it. Just before it runs, each statement runs in a transaction that
 * is rolled back, with Postgres' own auto_explain telling the plan: once planned for the values it has, and once for any
 * values, as Postgres may do with a statement that has a name (runtime/database).
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
  // A pool says that it has ended before Postgres has heard of it; dropping the database then cuts what is left.
  for (const each of [pool, explainer]) each.on('error', () => undefined);
  let plans: Plan[] = [];
  const run = pool.query.bind(pool) as (query: pg.QueryConfig) => Promise<pg.QueryResult>;
  const explainThenRun = async (query: pg.QueryConfig) => {
    plans.push(...(await explain(explainer, query)));
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

const MODES = ['force_custom_plan', 'force_generic_plan'] as const;

async function explain(pool: pg.Pool, { text, values }: pg.QueryConfig): Promise<Plan[]> {
  const client = await pool.connect();
  const messages: string[] = [];
  const onNotice = ({ message = '' }: { message?: string | undefined }) => void messages.push(message);
  client.on('notice', onNotice);
  try {
    await client.query(EXPLAIN_ALL);
    for (const mode of MODES) {
      await client.query('BEGIN');
      await client.query(`SET LOCAL plan_cache_mode = ${mode}`);
      await client.query({ text, values: values ?? [] });
      await client.query('ROLLBACK');
    }
  } finally {
    client.off('notice', onNotice);
    client.release();
  }
  const roots = messages
    .filter((message) => message.includes('"Plan"'))
    .map((message) => JSON.parse(message.slice(message.indexOf('{'))));
  if (roots.length < MODES.length) throw new Error(`Postgres did not explain: ${text}`);
  return roots.map(({ Plan: root }: { Plan: Node }) => planOf(root, text));
}

/** Loaded by a superuser, into one session. */
const EXPLAIN_ALL = `
  LOAD 'auto_explain';
  SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_buffers = on;
  SET auto_explain.log_format = json; SET auto_explain.log_level = notice;
  SET client_min_messages = notice`;

function planOf(root: Node, text: string): Plan {
  const nodes = flatten(root);
  const scans = nodes.filter((node) => node['Node Type'] === 'Seq Scan');
  const sorts = nodes.filter((node) => node['Node Type'] === 'Sort');
  return {
    statement: text.replace(/\s+/g, ' ').trim(),
    scanned: scans.map((node) => node['Relation Name'] ?? ''),
    sorted: Math.max(0, ...sorts.flatMap(({ Plans = [] }) => Plans.map(rowsOf))),
    pages: root['Shared Hit Blocks'] + root['Shared Read Blocks'],
  };
}

const rowsOf = (node: Node): number => node['Actual Rows'] * node['Actual Loops'];
const flatten = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flatten)];
