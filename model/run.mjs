/**
 * `npm run model`: has Alloy check the protocol (order-saga.als), refute every planted change, and admit the paths of paths.jsonl and
 * of the recorded histories. `--reduced`: smaller bounds, for `npm test`. `--paths <file>`: other paths, one JSON object a line.
 * `--histories <folder>`: other histories, and nothing else is checked. Ends with 1 if anything is not as it should be, with 69 if
 * there is no Java, or no jar.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findJar, solve } from './alloy.mjs';
import { pathsOf } from './history.mjs';
import { actionsOf, readPaths, runOf } from './paths.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const RECORDED = join(here, '../test/workflows/histories');
const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const isReduced = args.includes('--reduced');

const RESERVED = 'firstStart[o]; begin[o,Reserve]; reserve[o]';
const ASKED = `${RESERVED}; begin[o,Charge]; ask[o]`;
const TAKEN = `${ASKED}; land[o]`;
const LATE = `${ASKED}; cancel[o]; unwind[o]; shut[o]; refundDone[o]; release[o]; finish[o]; land[o]`;
/** Each change weakens one guard; along this path the promise is broken then, and with the guard it is not. */
const PLANTED = {
  NoStateGuard: `${TAKEN}; cancel[o]; recordConfirmed[o]`,
  ConfirmWhileUnwinding: `${TAKEN}; record[o]; begin[o,Confirm]; cancel[o]; confirm[o]`,
  NoHoldingsGuard: `${RESERVED}; cancel[o]; unwind[o]; finish[o]`,
  ReleaseForgetsStock: `${RESERVED}; cancel[o]; unwind[o]; shut[o]; refundDone[o]; release[o]`,
  ConfirmUnpaid: `${RESERVED}; confirm[o]`,
  RecordBeforeRefund: `${TAKEN}; record[o]; cancel[o]; unwind[o]; shut[o]`,
  SkipHeld: `${RESERVED}; hold[o,Accepted]; deliver[o,StockReserved]`,
  EventAfterwards: `${TAKEN}; record[o]; begin[o,Confirm]; confirm[o]`,
  NoRestart: `${RESERVED}; terminate[o]`,
  UndoTrustsItsMemory: `${ASKED}; cancel[o]; unwind[o]; refundDone[o]; release[o]; finish[o]`,
};

// Of exactly so many states: whatever happens in fewer is in there, with nothing happening in the end.
const scope = (steps, orders = 1) => `for exactly ${orders} Order, exactly 1 Piece, ${steps}..${steps} steps`;
const along = (path) => `some o: Order | (${path})`;
const statesOf = (path) => path.split(';').length + 1;
const noRelay = 'always no Order.(delivered + dead)';

/** Name → command, and whether Alloy must find an instance. */
function promises() {
  const all = [];
  const check = (name, claim, bounds) =>
    all.push({ isFound: false, name, text: `check ${name} { (protocol and intact and ${claim} } ${bounds}` });
  const run = (isFound, name, claim, bounds) =>
    all.push({ isFound, name, text: `run ${name} { protocol and ${claim} } ${bounds}` });
  check('safe', `${noRelay}) implies safe`, scope(isReduced ? 10 : 16));
  check('stock', `${noRelay}) implies (stockConserved and nothingHeldWhenCancelled)`, scope(isReduced ? 7 : 10, 2));
  check('delivery', 'some Order) implies deliveredInOrder', scope(isReduced ? 7 : 11));
  const fair = (claim) => `intact and fairReconciler and not ${claim} and (${along(LATE)})`;
  run(false, 'moneyInTheEndAlongTheLateCharge', fair('moneyInTheEnd'), scope(15));
  run(true, 'moneyAtOnceIsNotPromised', fair('moneyAtOnce'), scope(15));
  const unreconciled = `planted[NoReconciler] and fairReconciler and not moneyInTheEnd and (${along(LATE)})`;
  run(true, 'plantedNoReconciler', unreconciled, scope(14));
  for (const [change, path] of Object.entries(PLANTED)) {
    const broken = (with_) => `${with_} and not safe and (${along(path)})`;
    run(true, `planted${change}`, broken(`planted[${change}]`), scope(statesOf(path)));
    if (isReduced) continue;
    run(false, `intact${change}`, broken('intact'), scope(statesOf(path)));
    // Told of no path, the search finds one by itself: what it does not find of the intact model is not there, within these bounds.
    run(true, `foundByItself${change}`, `planted[${change}] and not safe`, scope(14));
  }
  return all;
}

const model = readFileSync(join(here, 'order-saga.als'), 'utf8');
const known = actionsOf(model);

/** Sagas that did the same are one path. @returns each path once, with the names of all that took it */
function distinct(paths) {
  const found = new Map();
  for (const { name, ...path } of paths) {
    const key = path.actions.join('; ');
    const { names } = found.get(key) ?? {};
    found.set(key, { ...(found.get(key) ?? path), names: [...(names ?? []), name] });
  }
  return [...found.values()];
}

/** What of these paths the model does not admit: where each leaves it. */
function misfits(jar, paths) {
  const name = (at, n) => `path${at}to${n}`;
  const prefixes = paths.flatMap(({ actions }, at) =>
    actions.map((_, n) => runOf(name(at, n), actions.slice(0, n + 1), known)),
  );
  const admitted = prefixes.length === 0 ? new Set() : solve(jar, model, prefixes);
  return paths.map(({ actions, from }, at) => {
    const n = actions.findIndex((_, place) => !admitted.has(name(at, place)));
    return `after ${actions.slice(0, n).join('; ') || 'nothing'}: "${actions[n]}" does not fit${from ? `, ${from[n]}` : ''}`;
  });
}

const jar = findJar();
const histories = pathsOf(option('--histories') ?? RECORDED);
const written = option('--histories') ? [] : readPaths(option('--paths') ?? join(here, 'paths.jsonl'));
const paths = distinct([...written, ...histories]);
const all = [
  ...(option('--histories') ? [] : promises()),
  ...paths.map((path, n) => ({ isFound: true, name: `path${n}`, path, text: runOf(`path${n}`, path.actions, known) })),
];
if (option('--histories') && histories.length === 0) throw new Error('There is no history to compare with the model');
const instances = solve(
  jar,
  model,
  all.map(({ text }) => text),
);
const wrong = all.filter(({ name, isFound }) => instances.has(name) !== isFound);
const refused = wrong.flatMap(({ path }) => path ?? []);
const told = misfits(jar, refused);
for (const one of all) {
  const { name, path, isFound } = one;
  const isWrong = wrong.includes(one);
  const title = path === undefined ? name : `the model admits ${path.names.join(', ')}`;
  const what = `${isFound ? 'an instance' : 'no counterexample'}${isWrong ? ' was expected' : ''}`;
  process.stdout.write(`${isWrong ? '✗' : '✓'} ${title}: ${what}\n`);
  if (isWrong && path) process.stdout.write(`  ${told[refused.indexOf(path)]}\n`);
}
process.stdout.write(
  `${all.length - wrong.length} of ${all.length} as they should be; the sagas of ${histories.length} orders are ${distinct(histories).length} different paths.\n`,
);
process.exitCode = wrong.length === 0 ? 0 : 1;
