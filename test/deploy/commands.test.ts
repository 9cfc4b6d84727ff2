/** What the documents tell an operator to type exists: commands and options of `ops`, SQL, tables, states and variables. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ORDER_STATUSES } from '../../contracts/orders.js';
import { SAGA_STATES, STEP_STATUSES } from '../../contracts/saga.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { settings } from '../../runtime/settings.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { cleanEnv } from '../ops/cli.js';
import { read } from './text.js';

const pages = [
  'README.md',
  'deploy/README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const reference = read('docs/quick-reference.md');

/** Every `ops …` of a page, as words: those after `npm run … ops --`, and those that stand alone in backticks or in a block. */
function commandsOf(page: string): string[][] {
  const text = read(page).replaceAll('`\n', '` ');
  const found = [
    ...text.matchAll(/npm run (?:-s )?ops -- ([^`\n#|>]+)/g),
    ...text.matchAll(/`ops ([^`]+)`/g),
    ...text.matchAll(/node dist\/ops\/main\.js ([^`\n#|>]+)/g),
  ];
  return found.map(([, line = '']) =>
    line
      .replaceAll(/'[^']*'|"[^"]*"/g, 'TEXT')
      .split(/\s+/)
      .filter(Boolean),
  );
}

const help = new Map<string, string>();
function helpOf(...path: string[]): string {
  const key = path.join(' ');
  const known = help.get(key);
  if (known !== undefined) return known;
  const { stdout } = spawnSync(process.execPath, ['dist/ops/main.js', ...path, '--help'], {
    encoding: 'utf8',
    env: cleanEnv(),
  });
  help.set(key, stdout);
  return stdout;
}
const namesIn = (text: string): string[] =>
  [...(text.split('\nCommands:\n')[1]?.split('\n\n')[0] ?? '').matchAll(/^ {2}([a-z-]+)/gm)].map(
    ([, name = '']) => name,
  );
const optionsIn = (text: string): string[] => [...text.matchAll(/(?<=^ {2}|, )--[a-z-]+/gm)].map(([option]) => option);

/** @returns what of the command does not exist, or undefined */
function faultOf([name = '', ...words]: string[]): string | undefined {
  if (!/^[a-z]/.test(name)) return undefined; // options of the program itself, or a placeholder
  if (!namesIn(helpOf()).includes(name)) return `there is no command ${name}`;
  const isNested = namesIn(helpOf(name)).includes(words[0] ?? '');
  const text = isNested ? helpOf(name, words[0] as string) : helpOf(name);
  // A list is what a group of commands does by itself.
  const byItself = !isNested && namesIn(text).includes('list') ? optionsIn(helpOf(name, 'list')) : [];
  const known = [...optionsIn(text), ...byItself, ...optionsIn(helpOf()), '--help'];
  const unknown = words.filter((word) => word.startsWith('--') && !known.includes(word.replace(/[.,;:]+$/, '')));
  return unknown.length === 0 ? undefined : `${name} has no option ${unknown.join(', ')}`;
}

describe('a command of ops', () => {
  test.each(pages)('in %s exists, with its options', (page) => {
    const faults = commandsOf(page).flatMap((words) => {
      const fault = faultOf(words);
      return fault === undefined ? [] : [`ops ${words.join(' ')}: ${fault}`];
    });
    expect(faults).toEqual([]);
  });

  test('is found at all, in the runbook and on the reference', () => {
    expect(commandsOf('docs/runbook.md').length).toBeGreaterThan(30);
    expect(commandsOf('docs/quick-reference.md').length).toBeGreaterThan(15);
    expect(faultOf(['stuck', '--nonsense'])).toBe('stuck has no option --nonsense');
    expect(faultOf(['explode'])).toBe('there is no command explode');
  });

  test('doctor has each of its checks in the runbook, with what to look at', () => {
    const source = readdirSync('ops/doctor').map((name) => read(`ops/doctor/${name}`));
    const names = source.flatMap((text) => [...text.matchAll(/\bcheck\('([^']+)'/g)].map(([, name]) => name));
    expect(names.length).toBeGreaterThan(20);
    const table = (read('docs/runbook.md').split('## What `doctor` says')[1] ?? '').split('\n## ')[0] ?? '';
    const named = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    );
    expect(named.toSorted()).toEqual([...new Set(names)].toSorted());
  });

  test('has its line on the reference, each of them', () => {
    const missing = namesIn(helpOf()).filter((name) => name !== 'help' && !reference.includes(`\`ops ${name}`));
    expect(missing).toEqual([]);
  });
});

describe('with a database', () => {
  let t: TestDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    t = await createTestDatabase();
    client = new pg.Client(sessionConfig(t.url));
    await client.connect();
  });
  afterAll(async () => {
    await client?.end();
    await t?.drop();
  });

  test('the runbook’s questions in SQL are answered', async () => {
    const text = read('docs/runbook.md');
    const blocks = [...text.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, sql = '']) => sql);
    const inline = [...text.matchAll(/`(SELECT [^`]*?;)`/g)].map(([, sql = '']) => sql.replaceAll('\n', ' '));
    const statements = [...blocks, ...inline]
      .flatMap((sql) => sql.split(';'))
      .map((sql) => sql.trim())
      .filter((sql) => sql.startsWith('SELECT'));
    expect(statements.length).toBeGreaterThan(5);
    for (const statement of statements) {
      const answer = await client.query(statement).catch((err: Error) => err);
      expect([statement, answer instanceof Error ? answer.message : 'answered']).toEqual([statement, 'answered']);
    }
  });

  test('the reference names all tables, and no other', async () => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_prisma_migrations' ORDER BY 1`,
    );
    const section = (reference.split('\n## Tables\n')[1] ?? '').split('\n## ')[0] ?? '';
    const named = [...section.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([a-z_]+)`/g)].map(([, name = '']) => name),
    );
    expect(named.sort()).toEqual(rows.map(({ name }) => name).sort());
  });
});

test('the reference has all states, as the code spells them', () => {
  const states = [...ORDER_STATUSES, ...SAGA_STATES, ...STEP_STATUSES];
  expect(states.filter((state) => !reference.includes(`\`${state}\``))).toEqual([]);
});

test('the reference names variables that there are, with their defaults of today', () => {
  const named = [...reference.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, name = '']) => name);
  const local = [...read('local/settings.ts').matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name = '']) => name);
  const durations = named.filter((name) => /(_BUDGET|_DEADLINE|_AFTER|_EVERY|_MAX|_PORT)$/.test(name));
  expect(durations.filter((name) => !(name in settings) && !local.includes(name))).toEqual([]);
});
