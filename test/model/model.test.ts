/** The protocol as a model: small bounds here, larger ones by `npm run model`. */
import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

const isThere = spawnSync('java', ['-version']).status === 0;
const isRequired = process.env['REQUIRE_MODEL'] === '1';

(isThere || isRequired ? test : test.skip)(
  'the model keeps its promises, each planted change breaks one, and the told stories are paths of it (needs Java 17)',
  () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['model/run.mjs', '--reduced'], {
      encoding: 'utf8',
    });
    const wrong = stdout.split('\n').filter((line) => line.startsWith('✗'));
    if (status === 69 && !isRequired)
      process.stderr.write(stderr); // no jar, and no way to fetch it
    else expect({ status, wrong, stderr }).toMatchObject({ status: 0, wrong: [] });
  },
  180_000,
);
