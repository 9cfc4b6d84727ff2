/** Stages of the proof: backups and the ways back that the page describes. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { seconds, sh, until } from './engine.mjs';
import { confirmed, finals, place } from './orders.mjs';

const count = (folder) =>
  Number(
    sh(
      `docker compose exec -T postgres psql -U postgres -d order_saga -Atc "SELECT count(*) FROM orders WHERE status = 'CONFIRMED'"`,
      { cwd: folder },
    ),
  );
const timed = (act) => {
  const began = performance.now();
  act();
  return seconds((performance.now() - began) / 1_000);
};

const healthy = (folder) => sh('docker compose up -d --no-deps --wait api worker relay', { cwd: folder });

/** The page's way back: what is the same from a file and from the archive. Then orders, and the account is adopted if it is held. */
async function back({ folder, page, note }, which, fill) {
  const restoredS = timed(() => {
    page.run(/^docker compose down$/);
    page.run(/^in_volume\(\)/);
    page.run(/before-restore/);
    page.run(which, fill);
    page.run(/^docker compose up -d --wait postgres$/);
    page.run(/^docker compose up -d temporal &&/);
    sh('docker compose up -d --no-deps --wait sandbox', { cwd: folder }); // a gateway is never part of what is restored
    page.run(/^alone\(\)/);
    page.run(/^alone feed-clock/);
    const settled = page.run(/^alone after-restore/, { '<moment>': '2h', '<you>': 'op-proof --yes' });
    note('`ops after-restore --apply`', settled.trim().split('\n').at(-1) || 'no difference');
    page.run(/^docker compose up -d$/);
    healthy(folder);
  });
  const confirmedThen = count(folder);
  await ordersAfter({ folder, page, note });
  return { restoredS, confirmedThen };
}

/** The workers notice by themselves whether the account knows this database, some seconds after they have begun. */
async function ordersAfter({ folder, page, note }) {
  const placed = await place(20);
  let held = 'the account knew the database';
  const began = performance.now();
  for (;;) {
    const because = ask(folder, 'SELECT held_because FROM installation', 'order_saga');
    if (because !== '') held = `adopted, since money was held: ${because}`;
    page.run(/^ops adopt/, { '<you>': 'op-proof --yes' });
    const { said: ended, allConfirmed } = await finals({ ...placed, began: performance.now() }, 10);
    if (allConfirmed)
      return note('20 orders afterwards', `${ended} within ${seconds((performance.now() - began) / 1_000)} s; ${held}`);
    if (performance.now() - began > 180_000) throw new Error(`20 orders after a restore: ${ended}; ${held}`);
  }
}

export async function physical({ folder, page, note }) {
  const before = count(folder);
  const tookS = timed(() => page.run(/pg_basebackup/));
  const file = sh('ls order-saga-*.tar.gz', { cwd: folder }).trim();
  const { size, mode } = statSync(join(folder, file));
  note('`pg_basebackup` as on the page', `${tookS} s, ${seconds(size / 1e6)} MB, mode 0${(mode & 0o777).toString(8)}`);
  await confirmed(20);
  note('orders confirmed since', `${count(folder) - before}`);
  const { restoredS, confirmedThen } = await back({ folder, page, note }, /rm -rf "\$PGDATA" && mkdir/, {
    'order-saga-<date>.tar.gz': file,
  });
  if (confirmedThen !== before) throw new Error(`${confirmedThen} confirmed orders after it, ${before} at the backup`);
  note(
    'restored from the file, as on the page',
    `${restoredS} s from \`down\` until all is healthy; ${before} confirmed orders, as at the backup`,
  );
}

const ask = (folder, question, database = 'postgres') =>
  sh(`docker compose exec -T postgres psql -U postgres -d ${database} -Atc "${question}"`, { cwd: folder }).trim();

export async function moment({ folder, page, setEnv, note }) {
  page.run(/^# in \.env: WAL_ARCHIVE/);
  page.run(/--entrypoint chown postgres/);
  page.run(/^docker compose up -d --no-deps --wait postgres$/);
  const said = page.run(/base-backup\.sh/).trim();
  note('the WAL archived, and a base backup', `${said.split('\n').at(-1)}`);
  await confirmed(20);
  const before = count(folder);
  const wanted = ask(folder, 'SELECT clock_timestamp()');
  await confirmed(10);
  const last = ask(folder, 'SELECT pg_walfile_name(pg_current_wal_lsn())');
  const archivedS = await until(
    'the segment is archived',
    () => ask(folder, 'SELECT last_archived_wal FROM pg_stat_archiver') >= last,
  );
  note('the last segment is in the archive', `${archivedS} s later (archive_timeout 30 s)`);
  const { restoredS, confirmedThen } = await back({ folder, page, note }, /restore\.sh/, {
    '2026-11-29 09:14:00+00': wanted,
  });
  if (confirmedThen !== before) throw new Error(`${confirmedThen} confirmed orders after it, ${before} at the moment`);
  note(
    'back to a moment, as on the page',
    `${restoredS} s from \`down\` until all is healthy; ${before} confirmed orders, as at the moment, and not the 10 of after it`,
  );
  setEnv(['WAL_ARCHIVE=off']); // the cluster that \`logical\` makes has no archive of its own
  sh('docker compose up -d --no-deps --wait postgres', { cwd: folder });
}
export async function logical({ folder, page, note }) {
  const before = count(folder);
  const tookS = timed(() => {
    page.run(/^docker compose stop api worker relay temporal$/);
    page.run(/pg_dumpall/);
    page.run(/^docker compose down && in_volume/);
    page.run(/^docker compose up -d --wait postgres$/);
    page.run(/psql -U postgres -f - < order-saga\.sql/);
    page.run(/feed-clock --advance/);
    page.run(/^docker compose up -d +#/);
    healthy(folder);
  });
  if (count(folder) !== before)
    throw new Error(`${count(folder)} confirmed orders after the restore, ${before} before`);
  note(
    'dump, a new cluster, restore, `feed-clock --advance`',
    `${tookS} s from the stop until all is healthy; ${before} confirmed orders, as before`,
  );
  await ordersAfter({ folder, page, note });
}
