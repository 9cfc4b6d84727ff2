/**
 * The page that is proved: the shell blocks of deploy/README.md, run line by line, as somebody would type them. Only placeholders (`<old>`)
 * are filled in, and what a comment says is to be in .env is written there. What of the page was never run is named at the end.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PORT, sh } from './engine.mjs';

/** Commands that the proof does not run, each with the reason. */
const NOT_RUN = [
  [/search-attribute create --address|^for name in|^done$/, 'a Temporal of your own'],
  [/up -d --no-deps api worker relay\b/, 'a Temporal of your own'],
  [/^docker compose up -d postgres && docker compose run --rm migrate$/, 'a Temporal of your own'],
];

export function readPage(folder) {
  const text = readFileSync(join(folder, 'deploy', 'README.md'), 'utf8');
  const state = join(folder, 'page-state.sh');
  writeFileSync(state, '', { flag: 'a' });
  const commands = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => commandsOf(block));
  const done = new Set();

  /**
   * Runs the commands of the page that `which` names, in their order.
   * @param fill placeholder → what stands for it
   * @returns what they have written; throws if one fails
   */
  function run(which, fill = {}, { limitMs, env } = {}) {
    const chosen = commands.filter((command) => which.test(command));
    if (chosen.length === 0) throw new Error(`The page has no command like ${which}.`);
    let output = '';
    for (const command of chosen) {
      done.add(command);
      output += sh(script(filled(command, fill)), { cwd: folder, limitMs, env });
    }
    return output;
  }

  const script = (command) =>
    [`set -euo pipefail; . ${state}`, command, `{ declare -f; declare -p TOKEN 2>/dev/null || :; } > ${state}`].join(
      '\n',
    );

  return {
    run,
    /** A variable that the page takes for given, such as the token of one's issuer. */
    set: (name, value) => writeFileSync(state, `${readFileSync(state, 'utf8')}${name}='${value}'\n`),
    summary: () => {
      const reasons = new Map(commands.map((command) => [command, NOT_RUN.find(([like]) => like.test(command))?.[1]]));
      return {
        run: commands.filter((command) => done.has(command)).length,
        left: commands.filter((command) => !done.has(command) && reasons.get(command) !== undefined).length,
        missed: commands.filter((command) => !done.has(command) && reasons.get(command) === undefined),
      };
    },
  };
}

/** A block's commands: a line, with those that it goes on in (a trailing `\`, an open quote or bracket). */
function commandsOf(block) {
  const commands = [];
  let open = '';
  for (const line of block.split('\n')) {
    open = open === '' ? line : `${open}\n${line}`;
    if (open.trim() === '') open = '';
    if (open === '' || open.endsWith('\\') || isWithinQuotes(open)) continue;
    commands.push(open.trim());
    open = '';
  }
  return commands;
}

const isWithinQuotes = (text) => (text.replaceAll(/"'"|#.*$/gm, '').split("'").length - 1) % 2 === 1;

function filled(command, fill) {
  const inEnv = /^# in \.env: (.*)$/.exec(command)?.[1];
  const text = Object.entries(fill).reduce((all, [name, value]) => all.replaceAll(name, value), command);
  if (inEnv === undefined)
    return text
      .replace('docker compose logs --since 15m -f', 'docker compose logs --since 15m')
      .replaceAll('127.0.0.1:3000', `127.0.0.1:${PORT}`);
  const assignments = /^# in \.env: (.*)$/.exec(text)?.[1] ?? '';
  return assignments
    .split(' ')
    .map((each) => `sed -i '/^${each.split('=')[0]}=/d' .env && echo '${each}' >> .env`)
    .join('\n');
}
