/**
 * `npm run mutants`: plants one change after the other in a copy of this checkout, and has the test that is named with it notice.
 * `--list`: what there is. `--only <id or area>`, several times: those. `--workers <n>`: so many copies at once. `--resume`: what was caught
 * before, in the same file by the same test, counts. Ends with 1 if one is not caught. A run of all writes docs/mutants.md;
 * `--report` writes it of what is known so far, and runs nothing; with `--update` a run of some writes their lines and keeps the others'.
 */
import { parseArgs } from 'node:util';
import '../../local/setup/node-version.mjs';

const { runScript, say, SetupError } = await import('../../local/say.mjs');
const { bootstrap, root } = await import('../../local/setup/bootstrap.mjs');

await runScript(async () => {
  const { values } = parseArgs({
    options: {
      list: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      workers: { type: 'string', default: '2' },
      resume: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      update: { type: 'boolean', default: false },
    },
  });
  await bootstrap();
  const { readAreas } = await import('./areas.mjs');
  const areas = await readAreas(root);
  const all = Object.entries(areas).flatMap(([area, mutants]) => mutants.map((mutant) => ({ ...mutant, area })));
  const chosen = values.only.length
    ? all.filter(({ id, area }) => [id, area].some((n) => values.only.includes(n)))
    : all;
  if (chosen.length === 0)
    throw new SetupError(`There is no mutant "${values.only.join('", "')}": --list has them all.`);
  if (values.list) {
    for (const { id, area, promise } of chosen)
      process.stdout.write(`${area.padEnd(16)} ${id.padEnd(40)} ${promise}\n`);
    return;
  }
  const { plantAll } = await import('./plant.mjs');
  const { table, updateDocument, writeDocument } = await import('./report.mjs');
  const { openMemory } = await import('./memory.mjs');
  const memory = openMemory(root, chosen);
  const known = chosen.flatMap((mutant) => (values.resume || values.report ? (memory.recall(mutant) ?? []) : []));
  if (values.report)
    return writeDocument(
      root,
      chosen.map((mutant) => known.find(({ id }) => id === mutant.id) ?? mutant),
    );
  const left = chosen.filter(({ id }) => !known.some((result) => result.id === id));
  const fresh = left.length === 0 ? [] : await plantAll(root, left, Number(values.workers), memory.keep);
  const results = chosen.map(({ id }) => [...known, ...fresh].find((result) => result.id === id));
  process.stdout.write(table(results));
  if (chosen.length === all.length) writeDocument(root, results);
  else if (values.update)
    updateDocument(
      root,
      all.map((mutant) => results.find(({ id }) => id === mutant.id) ?? mutant),
    );
  const survivors = results.filter(({ caught }) => !caught);
  say(`${results.length - survivors.length} of ${results.length} mutants were caught.`);
  process.exitCode = survivors.length > 0 ? 1 : 0;
});
