/** Stages of the proof: backups and the ways back that the page describes. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { seconds, sh } from './engine.mjs';
import { confirmed } from './orders.mjs';

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

export async function physical({ folder, page, note }) {
  const before = count(folder);
  const tookS = timed(() => page.run(/pg_basebackup/));
  const file = sh('ls order-saga-*.tar.gz', { cwd: folder }).trim();
  const { size, mode } = statSync(join(folder, file));
  note('`pg_basebackup` as on the page', `${tookS} s, ${seconds(size / 1e6)} MB, mode 0${(mode & 0o777).toString(8)}`);
  await confirmed(20);
  note('orders confirmed since', `${count(folder) - before}`);
  const restoredS = timed(() => {
    page.run(/^docker compose down +#/);
    page.run(/^in_volume\(\)/);
    page.run(/before-restore/);
    page.run(/rm -rf "\$PGDATA" && mkdir/, { 'order-saga-<date>.tar.gz': file });
    page.run(/^docker compose up -d --wait postgres +#/);
    page.run(/^docker compose up -d +#/);
    healthy(folder);
  });
  if (count(folder) !== before)
    throw new Error(`${count(folder)} confirmed orders after the restore, ${before} at the backup`);
  note(
    'restored as on the page',
    `${restoredS} s from \`down\` until all is healthy; ${before} confirmed orders, as at the backup`,
  );
  const doctor = sh('docker compose exec -T worker node dist/ops/main.js doctor || true', { cwd: folder });
  note('what `ops doctor` says of the account then', line(doctor, /account/));
  note(
    '`ops adopt`',
    sh('docker compose exec -T worker node dist/ops/main.js adopt --help | head -3', { cwd: folder })
      .trim()
      .split('\n')[0],
  );
}
const line = (text, which) =>
  (text.split('\n').find((each) => which.test(each)) ?? 'nothing').replaceAll(/\s+/g, ' ').trim();

export async function logical({ folder, page, note }) {
  const before = count(folder);
  const tookS = timed(() => {
    page.run(/^docker compose stop api worker relay temporal$/);
    page.run(/pg_dumpall/);
    page.run(/^docker compose down && in_volume/);
    page.run(/^docker compose up -d --wait postgres$/);
    page.run(/psql -U postgres -f - < order-saga\.sql/);
    page.run(/feed-clock --advance/);
    page.run(/^docker compose up -d$/);
    healthy(folder);
  });
  if (count(folder) !== before)
    throw new Error(`${count(folder)} confirmed orders after the restore, ${before} before`);
  note(
    'dump, a new cluster, restore, `feed-clock --advance`',
    `${tookS} s from the stop until all is healthy; ${before} confirmed orders, as before`,
  );
  const { tookS: ordersS } = await confirmed(20);
  note('20 orders afterwards', `all confirmed within ${ordersS} s`);
}
