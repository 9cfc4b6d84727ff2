#!/usr/bin/env node
/** `npm run migrations`: holds each migration that came after the accepted ones against the rules, and fails where one breaks one. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { previousRelease, root, usesOf } from './previous-release.mjs';
import { lint, newHistory, RULES } from './rules.mjs';

/** These, and what came before, were there before the rules, and are on databases as they are. */
export const ACCEPTED_UP_TO = '20261129180000_charge_version_3';

/** @returns {Promise<string[]>} a line each */
export async function problems(folder = join(root, 'prisma', 'migrations'), previous = previousRelease()) {
  const history = newHistory();
  const found = [];
  for (const entry of readdirSync(folder, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory()) continue;
    const findings = await lint(readFileSync(join(folder, entry.name, 'migration.sql'), 'utf8'), history);
    if (entry.name > ACCEPTED_UP_TO)
      for (const finding of findings) found.push(...sentences(`prisma/migrations/${entry.name}`, finding, previous));
  }
  return found;
}

function sentences(path, { rule, line, what, dropped }, previous) {
  const place = `${path}/migration.sql:${line}: ${what} [${rule}]`;
  if (dropped === undefined) return [`${place}: ${RULES[rule]}.`];
  if (previous.missing !== undefined) return [`${place}: whether it is in use cannot be said. ${previous.missing}`];
  const uses = usesOf(previous.commit, dropped);
  if (uses.length === 0) return [];
  return [
    `${place}: the previous release (${previous.name}) uses it: ${uses.slice(0, 3).join(', ')}. First ${RULES[rule]}.`,
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = await problems();
  for (const problem of found) process.stderr.write(`${problem}\n`);
  process.exitCode = found.length > 0 ? 1 : 0;
}
