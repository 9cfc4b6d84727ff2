/** Stages of the proof: the installation starts, takes orders, and lives through kills, hangs, stops and more of its processes. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PORT, processOf, seconds, sh, shBeside, until } from './engine.mjs';
import { apiAnswers, confirmed, finals, place, stockUp, token } from './orders.mjs';

const clock = () => {
  const began = performance.now();
  return () => seconds((performance.now() - began) / 1_000);
};
/** Values that a comment of .env.example asks for: those of the dev profile will do. */
const ASKED_FOR =
  /^(POSTGRES_PASSWORD|ORDER_SAGA_\w+_PASSWORD|TEMPORAL_DB_PASSWORD|AUTH_\w+|AUDIT_KEY|STRIPE_API_KEY)=/;

export async function server({ folder, page, own, setEnv, note }) {
  sh('docker compose down -v', { cwd: folder });
  page.run(/^cp \.env\.example/);
  own();
  setEnv(
    sh('cat deploy/dev.env', { cwd: folder })
      .split('\n')
      .filter((line) => ASKED_FOR.test(line)),
  );
  setEnv(['AUTH_ISSUER=https://issuer.example']); // asked for its keys by the first token only
  const took = clock();
  page.run(/^docker compose up -d --build$/);
  page.run(/^docker compose up -d --no-deps --wait api worker relay +#/);
  note('`up --build` of a server', `${took()} s; the images are built in it`);
  const ready = page.run(/^curl -s http:\/\/127\.0\.0\.1:3000\/readyz$/);
  if (!ready.includes('"ready":true')) throw new Error(`not ready: ${ready}`);
  note('images', sizes(['order-saga-proof', 'order-saga-migrate-proof', 'order-saga-stand-ins']));
  const dangling = sh(`docker images -q -f dangling=true -f label=org.opencontainers.image.title=order-saga`);
  note('images without a name that the build has left', `${dangling.split('\n').filter(Boolean).length}`);
  sh('docker compose down -v', { cwd: folder });
}

const sizes = (names) =>
  names
    .map((name) => `${name} ${sh(`docker images --format '{{.Size}}' ${name} | head -1`).trim() || 'not built'}`)
    .join(', ');

export async function start({ page, own, note }) {
  page.run(/^cp deploy\/dev\.env/);
  own();
  const took = clock();
  page.run(/^docker compose up -d --build +#/);
  page.run(/^docker compose up -d --no-deps --wait api worker relay issuer/);
  note('`up --build` of the dev profile, until it is healthy; images built before', `${took()} s`);
  page.run(/^TOKEN=/);
  const order = page.run(/cus_42/);
  if (!order.includes('"status":"CONFIRMED"')) throw new Error(`the page's first order: ${order}`);
  const operator = await token('op-1', 'operator');
  page.set('TOKEN', operator);
  page.run(/inventory\/SKU-KEYBOARD/);
  await stockUp(operator);
  page.run(/inventory\/SKU-PROBE/);
  const probe = page.run(/cus_probe/);
  if (!probe.includes('"status":"CONFIRMED"')) throw new Error(`the page's probe order: ${probe}`);
  page.run(/^(ops|temporal|readyz)\(\)/);
  const doctor = page.run(/^ops doctor/);
  if (!page.run(/^readyz worker/).includes('"ready":true')) throw new Error('the worker is not ready');
  page.run(/^docker compose (exec postgres psql|logs)/);
  note('the page’s first orders, and `ops doctor`', `confirmed; ${doctor.trim().split('\n').at(-1)}`);
}

export async function orders({ note }) {
  const { count, again, tookS, acceptedS } = await confirmed(200, { atATime: 16 });
  note(
    `${count} orders, 16 at a time`,
    `all confirmed; accepted within ${acceptedS} s, ended within ${tookS} s, ${again}`,
  );
}

export async function stuck({ folder, page, note }) {
  sh('docker compose stop sandbox', { cwd: folder });
  const placed = await place(2, { atATime: 2 });
  const took = clock();
  const [id, other] = placed.ids;
  const isListed = () => {
    const listed = page.run(/^ops stuck/);
    return listed.includes(id) && listed.includes(other) && page.run(/^temporal workflow list/).includes(id);
  };
  await until('the sagas are listed', isListed);
  note(
    'two sagas whose gateway is away',
    `listed by \`ops stuck\` and \`SagaState\` after ${took()} s (STEP_RETRY_BUDGET 15 s)`,
  );
  page.run(/^temporal workflow signal/, { '<workflow>': `order-${id}` });
  page.run(/^temporal workflow update execute/, { '<workflow>': `order-${other}` });
  sh('docker compose start sandbox', { cwd: folder });
  const undone = clock();
  const { said } = await finals(placed);
  note('`retry` and `resolve` as on the page, and the gateway is back', `${said} after ${undone()} s`);
}

export async function kills({ folder, note }) {
  const calm = await confirmed(120);
  note('120 orders, nothing killed', `ended within ${calm.tookS} s`);
  for (const service of ['api', 'worker', 'relay', 'temporal', 'postgres']) {
    const target = await processOf(folder, service);
    const load = confirmed(120);
    load.catch(() => undefined); // it is awaited below, after what may fail first
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // amid the orders
    target.signal('SIGKILL');
    const backS = await until(`${service} runs again`, target.isBack);
    const answersS = service === 'api' ? `, the API answers ${await until('the API answers', apiAnswers)} s later` : '';
    const { tookS, again } = await load;
    note(
      `${service} killed amid 120 orders`,
      `runs again after ${backS} s${answersS}; all confirmed within ${tookS} s, ${again}`,
    );
  }
}

/** A handler that never returns, put into the API by the proof: nothing in the product hangs on demand. */
const HANG = "--import=data:text/javascript,process.on('SIGUSR2',()=>{for(%3B%3B)%3B})";

export async function hang({ folder, note }) {
  const override = join(folder, 'docker-compose.override.yml');
  writeFileSync(
    override,
    `services:\n  api:\n    environment:\n      NODE_OPTIONS: ${JSON.stringify(`--max-old-space-size=320 ${HANG}`)}\n`,
  );
  sh('docker compose up -d --no-deps --wait api', { cwd: folder });
  const took = clock();
  const target = await processOf(folder, 'api');
  target.signal('SIGUSR2'); // docker-init passes it on
  await until('the API is started again', target.isBack);
  const again = took();
  await until('the API answers', apiAnswers);
  const line = sh(`docker compose logs api | grep -o 'the event loop has stood still[^"]*' | tail -1`, {
    cwd: folder,
  }).trim();
  note(
    'an API whose event loop never returns',
    `started again after ${again} s (EVENT_LOOP_STALL_MAX 10 s), answers after ${took()} s; its log: “${line}”`,
  );
  rmSync(override);
  sh('docker compose up -d --no-deps --wait api', { cwd: folder });
}

export async function heap({ folder, note }) {
  const fill = 'const all = []; for (;;) all.push(new Array(1e4).fill(Math.random()))';
  const said = sh(`docker compose run --rm --no-deps -T relay node -e '${fill}' 2>&1 || echo "status $?"`, {
    cwd: folder,
  });
  const [status] = /status \d+/.exec(said) ?? ['no status'];
  if (!said.includes('JavaScript heap out of memory')) throw new Error(`killed without a word: ${said.slice(-500)}`);
  note(
    'a heap that grows without end, in a relay’s container',
    `“JavaScript heap out of memory”, ${status} (137 would be the kernel’s kill)`,
  );
}

export async function stopAndStart({ folder, note }) {
  const placed = await place(40);
  const stopping = clock();
  sh('docker compose stop', { cwd: folder });
  const stopped = stopping();
  const starting = clock();
  sh('docker compose start --wait || docker compose start', { cwd: folder });
  await until('the API answers', apiAnswers);
  const { said } = await finals({ ...placed, began: performance.now() });
  if (said !== 'CONFIRMED 40') throw new Error(`after a stop and a start: ${said}`);
  note('`stop` amid 40 orders, `start`', `stopped within ${stopped} s; after the start ${said} within ${starting()} s`);
}

export async function scaling({ folder, setEnv, note }) {
  setEnv([`PORT=${PORT}-${PORT + 1}`]);
  const took = clock();
  sh('docker compose up -d --no-recreate --scale api=2 --scale worker=3 --scale relay=2', { cwd: folder });
  const second = sh(`docker compose port --index 2 api 3000`, { cwd: folder }).trim();
  await until('the second API answers', async () => (await fetch(`http://${second}/livez`)).ok);
  note('`--scale api=2 --scale worker=3 --scale relay=2`', `ready after ${took()} s; the second API at ${second}`);
  const load = confirmed(200, { atATime: 16 });
  load.catch(() => undefined);
  let most = {};
  const watch = setInterval(async () => {
    most = greater(most, await connections(folder).catch(() => ({})));
  }, 2_000);
  const { acceptedS, tookS, again } = await load.finally(() => clearInterval(watch));
  note('200 orders on them', `all confirmed; accepted within ${acceptedS} s, ended within ${tookS} s, ${again}`);
  note(
    'connections to Postgres meanwhile, at most',
    `${Object.entries(most)
      .map(([user, n]) => `${user} ${n}`)
      .join(', ')} of 200`,
  );
  setEnv([`PORT=${PORT}`]);
  sh('docker compose up -d && docker compose up -d --no-deps --wait api worker relay', { cwd: folder });
  const left = sh(`docker compose ps --format '{{.Service}}' | grep -c -E '^(api|worker|relay)$'`, {
    cwd: folder,
  }).trim();
  note('`up` without the numbers', `${left} processes of ours, one of each role`);
}

const CONNECTIONS = 'SELECT usename, count(*) FROM pg_stat_activity WHERE usename IS NOT NULL GROUP BY 1';
const connections = async (folder) => {
  const said = await shBeside(`docker compose exec -T postgres psql -U postgres -Atc "${CONNECTIONS}"`, {
    cwd: folder,
  });
  const rows = said
    .trim()
    .split('\n')
    .map((line) => line.split('|'));
  return Object.fromEntries(rows.map(([user, n]) => [user, Number(n)]));
};
const greater = (a, b) =>
  Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((k) => [k, Math.max(a[k] ?? 0, b[k] ?? 0)]),
  );
