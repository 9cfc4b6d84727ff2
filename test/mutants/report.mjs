/** What a run came to: for the terminal, and as a document. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';

export const table = (results) =>
  `${results.map(({ id, caught, seconds, why }) => `${caught ? 'caught  ' : 'SURVIVED'} ${`${seconds}`.padStart(6)} s  ${id}${why ? `: ${why}` : ''}`).join('\n')}\n`;

/**
 * Of a run of some: the lines of the others stay as they are, if they still say the same change and the same test.
 * @param all every mutant, with the result of those that were run now
 */
export function updateDocument(root, all) {
  const before = readFileSync(join(root, 'docs/mutants.md'), 'utf8');
  const lines = new Map(before.split('\n').map((text) => [/^\| `([\w-]+)` \|/.exec(text)?.[1], text]));
  const earlier = /at commit ([^(]*?)(?:;[^(]*)? \(/.exec(before)?.[1] ?? '';
  const results = all.map((mutant) => {
    const seconds = Number(/\| ([\d.]+) \|$/.exec(lines.get(mutant.id) ?? '')?.[1]);
    const was = { ...mutant, caught: true, seconds };
    return mutant.caught === undefined && line(was) === lines.get(mutant.id) ? { ...was, isOld: true } : mutant;
  });
  const old = results.filter(({ isOld }) => isOld).length;
  writeDocument(root, results, old === 0 ? '' : `; ${old} of them before, at commit ${earlier}`);
}

export function writeDocument(root, results, earlier = '') {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const commit = `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') ? ', with changes' : ''}`;
  const machine = `${platform()} ${arch()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
  const caught = results.filter((result) => result.caught).length;
  const unrun = results.filter((result) => result.caught === undefined).length;
  const areas = [...new Set(results.map(({ area }) => area))];
  const text = `# Planted bugs
Made by \`npm run mutants\`; not to be edited. Each line is one small change to the product that breaks one promise, and the test that must
notice: it passes without the change and fails with it, by what it asserts. What is changed into what stands in \`test/mutants/promises\`.

**${caught} of ${results.length} caught**${unrun === 0 ? '' : `, ${unrun} not run`}, on ${new Date().toISOString().slice(0, 10)}, at commit ${commit}${earlier} (${machine}, Node ${process.version}).
Seconds are those of building, starting and running the named test alone, beside whatever else the machine did.
${areas
  .map((area) =>
    section(
      area,
      results.filter((result) => result.area === area),
    ),
  )
  .join('')}`;
  writeFileSync(join(root, 'docs/mutants.md'), text);
}

const section = (area, results) => `
## ${area[0].toUpperCase()}${area.slice(1).replaceAll('-', ' ')}
| mutant | the promise that it breaks | the change | caught by | s |
|---|---|---|---|---|
${results.map(line).join('\n')}
`;

const line = ({ id, promise, file, find, replace, test, name, caught, seconds, why }) =>
  `| \`${id}\` | ${cell(promise)} | \`${file}\`: ${change(find, replace)} | ${caught === false ? `**nothing**: ${cell(why)}` : `\`${test}\`: ${cell(name)}`} | ${seconds ?? 'not run'} |`;

const cell = (text) => text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');
const CODE_MAX = 90;

/** What differs, without the lines around it that make it unique. */
function change(find, replace) {
  let from = 0;
  while (from < Math.min(find.length, replace.length) && find[from] === replace[from]) from += 1;
  let to = 0;
  while (to < Math.min(find.length, replace.length) - from && find.at(-1 - to) === replace.at(-1 - to)) to += 1;
  // A word is shown whole.
  while (from > 0 && /\w/.test(find[from - 1] ?? '')) from -= 1;
  while (to > 0 && /\w/.test(find.at(-to) ?? '')) to -= 1;
  const [gone, come] = [find, replace].map((text) => text.slice(from, text.length - to));
  return `${code(gone)} → ${code(come)}`;
}

const code = (text) => {
  const plain = text.trim().replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').replaceAll('`', '´');
  return plain === '' ? 'nothing' : `\`${plain.length > CODE_MAX ? `${plain.slice(0, CODE_MAX)}…` : plain}\``;
};
