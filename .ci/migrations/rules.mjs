/**
 * What a migration may not do while the service is at work: hold a lock under which a table is read or written anew, or take away what
 * the release before this one still uses. Postgres' own parser says what a statement is; what is not known to be quick is refused.
 * Of a table that the same file creates everything is allowed: nobody uses it yet.
 */
import { parse } from 'libpg-query';
import { changesOfColumns } from './columns.mjs';

/** Rule → what to do instead. The rule's name is what `-- lint allow <rule>: <why>` allows for its file. */
export const RULES = {
  index: 'CREATE INDEX CONCURRENTLY, in a file of its own; else nobody writes to the table while it is built',
  'drop-index': 'DROP INDEX CONCURRENTLY, in a file of its own',
  concurrently:
    'a statement with CONCURRENTLY is the only one of its file, and has no IF NOT EXISTS, which takes an unfinished index for one',
  rewrite: 'a column with a constant default, or none; values by the code, in batches',
  'not-null':
    'ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID, VALIDATE in the next file, SET NOT NULL in the one after that',
  'added-not-null':
    'a default that is a constant: rows that are there, and those that the previous release adds, have no value',
  constraint: 'ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in a later file',
  'unique-constraint': 'CREATE UNIQUE INDEX CONCURRENTLY, and ADD CONSTRAINT … USING INDEX in a later file',
  validate:
    'VALIDATE CONSTRAINT in a file without anything else: whatever was locked before it stays locked while it reads the table',
  type: 'a new column, which the code fills beside the old one; the old one is dropped a release later',
  rename: 'a new name beside the old one: the previous release knows the old one',
  drop: 'a release that does not use it first',
  data: 'the code, in batches: rows stay locked until the file has ended',
  'two-tables': 'a file each: the first table stays locked while the second one is waited for',
  'lock-timeout': 'the runner’s lock_timeout, or a shorter one',
  transaction: 'no BEGIN or COMMIT: a file is one transaction, which the runner tries again as a whole',
  hidden: 'plain statements: what is in DO … or EXECUTE cannot be looked at',
  unknown: 'something that this linter knows to be quick; or a rule for it in .ci/migrations',
};

/** Those that lock nothing for long by themselves. */
const QUICK = new Set([
  ...['CreateStmt', 'CreateFunctionStmt', 'CommentStmt', 'GrantStmt', 'GrantRoleStmt', 'AlterDefaultPrivilegesStmt'],
  ...[
    'CreateSeqStmt',
    'AlterSeqStmt',
    'ViewStmt',
    'CreateEnumStmt',
    'CreateSchemaStmt',
    'SelectStmt',
    'AlterOwnerStmt',
  ],
]);
const LOCK_WAIT_MAX_MS = 1_000;

/**
 * @param {string} sql a migration's file
 * @param {{ checks: Map<string, string>, validated: Set<string> }} history of the files before it; this one's is added to it
 * @returns {Promise<{ rule: string, line: number, what: string, dropped?: string }[]>} `dropped`: a column or table that it takes away
 */
export async function lint(sql, history = newHistory()) {
  const { stmts = [] } = await parse(sql);
  const file = { created: new Set(), locked: new Set(), statements: stmts.length, history };
  const found = stmts.flatMap(({ stmt, stmt_location: at = 0 }) => {
    const [[kind, node]] = Object.entries(stmt);
    return check(kind, node, file).map((finding) => ({ line: lineOf(sql, at), ...finding }));
  });
  const allowed = new Set([...sql.matchAll(/^--\s*lint allow ([a-z-]+): .{10,}$/gm)].map(([, rule]) => rule));
  return found.filter(({ rule }) => !allowed.has(rule));
}

export const newHistory = () => ({ checks: new Map(), validated: new Set() });

function check(kind, node, file) {
  const rules = BY_KIND[kind];
  if (rules !== undefined) return rules(node, file);
  if (kind === 'CreateStmt') file.created.add(node.relation.relname);
  return QUICK.has(kind) ? [] : [{ rule: 'unknown', what: kind }];
}

const BY_KIND = {
  IndexStmt: ({ concurrent, if_not_exists, relation, idxname }, file) => {
    if (file.created.has(relation.relname)) return [];
    if (concurrent !== true) return [{ rule: 'index', what: `index ${idxname} on ${relation.relname}` }];
    return file.statements > 1 || if_not_exists ? [{ rule: 'concurrently', what: `index ${idxname}` }] : [];
  },
  DropStmt: ({ removeType, concurrent, objects }, file) => {
    const names = objects.map((object) => nameOf(object));
    if (removeType === 'OBJECT_TABLE')
      return names.map((name) => ({ rule: 'drop', what: `table ${name}`, dropped: name }));
    if (removeType !== 'OBJECT_INDEX') return []; // functions, triggers, views: their locks are short
    if (concurrent !== true) return [{ rule: 'drop-index', what: `index ${names}` }];
    return file.statements > 1 ? [{ rule: 'concurrently', what: `index ${names}` }] : [];
  },
  AlterTableStmt: ({ relation, cmds, objtype }, file) => {
    if (objtype !== 'OBJECT_TABLE' || file.created.has(relation.relname)) return [];
    const onlyValidates = cmds.every(({ AlterTableCmd: { subtype } }) => subtype === 'AT_ValidateConstraint');
    const found = cmds.flatMap(({ AlterTableCmd: command }) => changesOfColumns(relation.relname, command, file));
    return onlyValidates ? found : [...found, ...locks(relation.relname, file)];
  },
  CreateTrigStmt: ({ relation }, file) => (file.created.has(relation.relname) ? [] : locks(relation.relname, file)),
  RenameStmt: ({ relation, subname, newname }) => [
    { rule: 'rename', what: `${[relation?.relname, subname].filter(Boolean).join('.')} to ${newname}` },
  ],
  UpdateStmt: ({ relation }, file) => changesRows(relation, file),
  DeleteStmt: ({ relation }, file) => changesRows(relation, file),
  InsertStmt: ({ relation, selectStmt }, file) =>
    selectStmt?.SelectStmt?.valuesLists ? [] : changesRows(relation, file), // written out, it is as long as the file
  VariableSetStmt: ({ name, args = [] }) => {
    if (name !== 'lock_timeout' || isShort(args[0]?.A_Const)) return [];
    return [{ rule: 'lock-timeout', what: 'a longer lock_timeout' }];
  },
  TransactionStmt: () => [{ rule: 'transaction', what: 'transaction control' }],
  DoStmt: ({ args }) => {
    const body = args.map(({ DefElem }) => DefElem.arg?.String?.sval ?? '').join(' ');
    return /\b(ALTER|CREATE|DROP|UPDATE|DELETE|INSERT|LOCK|TRUNCATE|EXECUTE)\b/i.test(withoutRights(body))
      ? [{ rule: 'hidden', what: 'a DO block' }]
      : [];
  },
};

/** The words of REVOKE UPDATE, DELETE ON … are none of the statements of that name. */
const withoutRights = (body) => body.replace(/\b(GRANT|REVOKE)\b[^;]*;?/gi, ' ');

const changesRows = ({ relname }, { created }) =>
  created.has(relname) ? [] : [{ rule: 'data', what: `rows of ${relname}` }];

function locks(table, { locked }) {
  const isSecond = locked.size > 0 && !locked.has(table);
  locked.add(table);
  return isSecond ? [{ rule: 'two-tables', what: [...locked].join(' and ') }] : [];
}

const UNITS_MS = { '': 1, ms: 1, s: 1_000 };
function isShort(constant) {
  const [, number, unit] = /^(\d+)\s*(ms|s|)$/.exec(constant?.sval?.sval ?? String(constant?.ival?.ival ?? '')) ?? [];
  const ms = Number(number) * UNITS_MS[unit];
  return ms > 0 && ms <= LOCK_WAIT_MAX_MS;
}

const nameOf = ({ List }) => List?.items.at(-1)?.String?.sval;

/** Where the statement itself begins: the parser counts what stands before it as part of it. */
function lineOf(sql, at) {
  const bytes = Buffer.from(sql);
  const before = bytes.subarray(0, at).toString();
  const [gap] = /^(?:\s+|--[^\n]*\n)*/.exec(bytes.subarray(at).toString()) ?? [''];
  return `${before}${gap}`.split('\n').length;
}
