/** What ALTER TABLE may do to a table that is in use. */

/** They change the catalogue only, and read no row. */
const QUICK = new Set([
  ...[
    'AT_ColumnDefault',
    'AT_DropNotNull',
    'AT_DropConstraint',
    'AT_SetStatistics',
    'AT_SetRelOptions',
    'AT_ResetRelOptions',
  ],
  ...['AT_ChangeOwner', 'AT_EnableTrig', 'AT_DisableTrig', 'AT_ReplicaIdentity', 'AT_SetCompression'],
]);

/** @returns what is wrong with one command of ALTER TABLE, by the rules of rules.mjs */
export function changesOfColumns(table, { subtype, name, def }, { statements, history }) {
  const what = name === undefined ? table : `${table}.${name}`;
  switch (subtype) {
    case 'AT_AddColumn':
      return addedColumn(table, def.ColumnDef);
    case 'AT_AddConstraint':
      return addedConstraint(table, def.Constraint, history);
    case 'AT_ValidateConstraint':
      history.validated.add(what);
      return statements > 1 ? [{ rule: 'validate', what }] : [];
    case 'AT_SetNotNull': {
      const check = history.checks.get(what);
      return check !== undefined && history.validated.has(check) ? [] : [{ rule: 'not-null', what }];
    }
    case 'AT_AlterColumnType':
      return [{ rule: 'type', what }];
    case 'AT_DropColumn':
      return [{ rule: 'drop', what: `column ${what}`, dropped: name }];
    default:
      return QUICK.has(subtype) ? [] : [{ rule: 'unknown', what: `${subtype} of ${what}` }];
  }
}

function addedColumn(table, { colname, typeName, constraints = [] }) {
  const what = `${table}.${colname}`;
  const of = (type) => constraints.find(({ Constraint }) => Constraint.contype === type)?.Constraint;
  const initial = of('CONSTR_DEFAULT');
  const isSerial = typeName.names.some(({ String: { sval } }) => /^(small|big)?serial$/.test(sval));
  const found = [];
  if (
    isSerial ||
    of('CONSTR_IDENTITY') ||
    of('CONSTR_GENERATED')?.generated_kind === 's' ||
    (initial && !isConstant(initial.raw_expr))
  )
    found.push({ rule: 'rewrite', what });
  if (of('CONSTR_NOTNULL') && !initial) found.push({ rule: 'added-not-null', what });
  if (of('CONSTR_CHECK') || of('CONSTR_FOREIGN')) found.push({ rule: 'constraint', what });
  if (of('CONSTR_UNIQUE') || of('CONSTR_PRIMARY')) found.push({ rule: 'unique-constraint', what });
  return found;
}

function addedConstraint(table, constraint, { checks }) {
  const { contype, conname, skip_validation: isNotValid, indexname } = constraint;
  const what = `${table}.${conname}`;
  if (['CONSTR_UNIQUE', 'CONSTR_PRIMARY', 'CONSTR_EXCLUSION'].includes(contype))
    return indexname === undefined ? [{ rule: 'unique-constraint', what }] : [];
  if (isNotValid !== true) return [{ rule: 'constraint', what }];
  const column = columnNotNull(constraint);
  if (column !== undefined) checks.set(`${table}.${column}`, what);
  return [];
}

/** @returns the column, of CHECK (column IS NOT NULL) or of NOT NULL column */
function columnNotNull({ contype, raw_expr: check, keys }) {
  if (contype === 'CONSTR_NOTNULL') return keys?.[0]?.String?.sval;
  const test = check?.NullTest;
  return test?.nulltesttype === 'IS_NOT_NULL' ? test.arg.ColumnRef?.fields.at(-1).String?.sval : undefined;
}

/** Postgres works it out once, and keeps it in the catalogue: no row is touched. */
function isConstant(expression) {
  const [[kind, node]] = Object.entries(expression ?? { A_Const: {} });
  if (kind === 'A_Const' || kind === 'SQLValueFunction') return true;
  if (kind === 'TypeCast') return isConstant(node.arg);
  return kind === 'FuncCall' && node.funcname.at(-1).String.sval === 'now';
}
