/** Alloy: its jar, found by ALLOY_JAR or fetched once by Maven into the cache, and what it says of a model's commands. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const VERSION = '6.2.0';
const UNAVAILABLE = 69;

/** @returns Alloy's jar. Ends the process with 69 if there is no Java, or no jar. */
export function findJar() {
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

/**
 * @param commands each `run NAME …` or `check NAME …`
 * @returns the names of those for which Alloy has found an instance
 */
export function solve(jar, model, commands) {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-model-'));
  try {
    const file = join(folder, 'model.als');
    writeFileSync(file, `${model}\n${commands.join('\n')}\n`);
    const out = join(folder, 'out');
    execFileSync(
      'java',
      ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-jar', jar, 'exec', '-f', '-o', out, '-s', 'minisat', file],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        maxBuffer: 100_000_000,
      },
    );
    const receipt = JSON.parse(readFileSync(join(out, 'receipt.json'), 'utf8')).commands;
    const asked = commands.map((command) => command.split(' ')[1]);
    const missing = asked.filter((name) => receipt[name] === undefined);
    if (missing.length > 0) throw new Error(`Alloy has not carried out ${missing.join(', ')}`);
    return new Set(asked.filter((name) => receipt[name].solution !== undefined));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
