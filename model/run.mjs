/**
 * `npm run model`: has Alloy check the protocol (order-saga.als), refute every planted change, and accept the paths of paths.jsonl.
 * `--reduced`: smaller bounds, for `npm test`. `--paths <file>`: another file of paths, one JSON object a line: {"name", "actions"}.
 * Alloy's jar is found by ALLOY_JAR, or fetched once by Maven into the cache. Ends with 1 if anything is not as it should be, with
 * 69 if there is no Java, or no jar.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '6.2.0';
const UNAVAILABLE = 69;
const here = dirname(fileURLToPath(import.meta.url));
const args = process.argv.slice(2);
const isReduced = args.includes('--reduced');
const pathsFile = args.includes('--paths') ? args[args.indexOf('--paths') + 1] : join(here, 'paths.jsonl');

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

const scope = (steps, orders = 1) => `for exactly ${orders} Order, exactly 1 Piece, ${steps} steps`;
const along = (path) => `some o: Order | (${path})`;
const stepsOf = (path) => path.split(';').length + 2;
const noRelay = 'always no Order.(delivered + dead)';

/** Name → command, and whether Alloy must find an instance. */
function commands() {
  const all = [];
  const must = (isFound, name, text) => all.push({ isFound, name, text: text.replace('NAME', name) });
  must(false, 'safe', `check NAME { (intact and ${noRelay}) implies safe } ${scope(isReduced ? 6 : 9)}`);
  must(
    false,
    'stock',
    `check NAME { (intact and ${noRelay}) implies (stockConserved and nothingHeldWhenCancelled) } ${scope(isReduced ? 5 : 6, 2)}`,
  );
  must(false, 'delivery', `check NAME { intact implies deliveredInOrder } ${scope(isReduced ? 6 : 7)}`);
  const fair = (claim) => `intact and fairReconciler and not ${claim} and (${along(LATE)})`;
  must(false, 'moneyInTheEndAlongTheLateCharge', `run NAME { ${fair('moneyInTheEnd')} } ${scope(15)}`);
  must(true, 'moneyAtOnceIsNotPromised', `run NAME { ${fair('moneyAtOnce')} } ${scope(15)}`);
  must(
    true,
    'plantedNoReconciler',
    `run NAME { planted[NoReconciler] and fairReconciler and not moneyInTheEnd and (${along(LATE)}) } ${scope(14)}`,
  );
  for (const [change, path] of Object.entries(PLANTED)) {
    must(
      true,
      `planted${change}`,
      `run NAME { planted[${change}] and not safe and (${along(path)}) } ${scope(stepsOf(path))}`,
    );
    if (!isReduced)
      must(false, `intact${change}`, `run NAME { intact and not safe and (${along(path)}) } ${scope(stepsOf(path))}`);
  }
  for (const { name, actions } of readPaths()) {
    const path = actions.map(toAction).join('; ');
    must(
      true,
      `path_${name.replaceAll(/\W/g, '_')}`,
      `run NAME { intact and (${along(path)}) } ${scope(stepsOf(path))}`,
    );
  }
  return all;
}

const readPaths = () =>
  readFileSync(pathsFile, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** `begin Charge` → `begin[o,Charge]` */
function toAction(text) {
  if (!/^[A-Za-z]+( [A-Za-z]+)?$/.test(text)) throw new Error(`"${text}" is no action of the model`);
  const [name, of] = text.split(' ');
  return of === undefined ? `${name}[o]` : `${name}[o,${of}]`;
}

function findJar() {
  if (spawnSync('java', ['-version']).status !== 0) return unavailable('There is no `java` (17 or newer) on the PATH.');
  if (process.env['ALLOY_JAR']) return process.env['ALLOY_JAR'];
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'order-saga', `alloy-${VERSION}`);
  const jar = join(folder, `org.alloytools.alloy.dist-${VERSION}.jar`);
  if (existsSync(jar)) return jar;
  mkdirSync(dirname(folder), { recursive: true });
  const scratch = mkdtempSync(`${folder}.new-`);
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
  const artifact = `org.alloytools:org.alloytools.alloy.dist:${VERSION}`;
  const { status, error } = spawnSync(
    'mvn',
    ['-q', '-B', goal, `-Dartifact=${artifact}`, `-DoutputDirectory=${scratch}`],
    { cwd: scratch, stdio: 'inherit' },
  );
  if (status !== 0) {
    rmSync(scratch, { recursive: true, force: true });
    return unavailable(
      `Alloy ${VERSION} is not in ${folder}, and \`mvn\` cannot fetch it${error ? ` (${error.message})` : ''}; ALLOY_JAR names a jar.`,
    );
  }
  if (existsSync(folder)) rmSync(scratch, { recursive: true, force: true });
  else renameSync(scratch, folder);
  return jar;
}

function unavailable(why) {
  process.stderr.write(`The model was not checked. ${why}\n`);
  process.exit(UNAVAILABLE);
}

const jar = findJar();
const all = commands();
const folder = mkdtempSync(join(tmpdir(), 'order-saga-model-'));
try {
  const file = join(folder, 'model.als');
  const model = readFileSync(join(here, 'order-saga.als'), 'utf8');
  writeFileSync(file, `${model}\n${all.map(({ text }) => text).join('\n')}\n`);
  const out = join(folder, 'out');
  execFileSync('java', ['-XX:+UseSerialGC', '-jar', jar, 'exec', '-f', '-o', out, '-s', 'minisat', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    maxBuffer: 100_000_000,
  });
  const receipt = JSON.parse(readFileSync(join(out, 'receipt.json'), 'utf8')).commands;
  let wrong = 0;
  for (const { name, isFound } of all) {
    const isAsItShould = receipt[name] !== undefined && (receipt[name].solution !== undefined) === isFound;
    if (!isAsItShould) wrong++;
    process.stdout.write(
      `${isAsItShould ? '✓' : '✗'} ${name}: ${isFound ? 'an instance' : 'no counterexample'}${isAsItShould ? '' : ' was expected'}\n`,
    );
  }
  process.stdout.write(`${all.length - wrong} of ${all.length} as they should be.\n`);
  process.exitCode = wrong === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
