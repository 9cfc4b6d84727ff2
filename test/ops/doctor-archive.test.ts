/** What `doctor` says of the archive of the WAL, by what Postgres says of its archiver. */
import { expect, test } from '@jest/globals';
import { type ArchiveRow, rateArchive } from '../../ops/doctor/postgres.js';

const WELL: ArchiveRow = {
  ...{ isOn: true, archived: 12, failed: 1, failedWal: '000000010000000000000003' },
  ...{ isFailing: false, agoS: 20, timeoutS: 30, receivers: 0 },
};

test.each<[string, Partial<ArchiveRow>, string, RegExp]>([
  ['one that keeps segments is well, whatever failed before', {}, 'ok', /12 segments/],
  [
    'one whose newest attempt failed has failed',
    { isFailing: true },
    'fail',
    /000000010000000000000003 cannot be archived/,
  ],
  ['one that has kept nothing for long is told', { agoS: 301 }, 'warn', /nothing was archived for/],
  ['segments that wait until they are full are told', { timeoutS: 0 }, 'warn', /archive_timeout is 0/],
  ['none is passed over', { isOn: false }, 'skipped', /archive_mode is off/],
  ['none is needed where the WAL is streamed', { isOn: false, receivers: 1 }, 'ok', /pg_receivewal/],
])('of an archive: %s', (_, changed, status, says) => {
  expect(rateArchive({ ...WELL, ...changed })).toMatchObject({ status, detail: expect.stringMatching(says) });
});
