/** Stages of the proof: a new build beside the old one with sagas in flight, and back; what is missed when the old one goes too early. */
import { spawn } from 'node:child_process';
import { sh, until } from './engine.mjs';
import { finals, place } from './orders.mjs';

/** Placeholders of the page; the images have names of the proof's own. */
const names = (old, next) => ({
  'IMAGE=order-saga:<old>': `IMAGE=order-saga-proof:${old}`,
  'IMAGE=order-saga:<new>': `IMAGE=order-saga-proof:${next}`,
  'IMAGE=order-saga-migrate:<new>': `IMAGE=order-saga-migrate-proof:${next}`,
  '<old>': old,
  '<new>': next,
  '<profiles>': 'dev',
});
const openOf = (page, build) =>
  Number(
    /Total: (\d+)|^(\d+)/m.exec(page.run(/^temporal workflow count --query 'TemporalWorker/, names(build, '')))?.[1] ??
      Number.NaN,
  );

export async function upgrade({ folder, page, setEnv, note }) {
  const fill = names('one', 'two');
  page.run(/^# in \.env: ORDER_SAGA_IMAGE=order-saga:<old>/, fill);
  page.run(/^docker compose up -d --build && /);
  await made(page, /set-current-version .*<old> --yes/, fill);
  note('build `one` made current', 'without a question asked');

  sh('docker compose stop sandbox', { cwd: folder }); // so that sagas stay in flight
  const inFlight = await place(40);
  await until('Temporal lists them all', () => openOf(page, 'one') === 40);
  note('sagas in flight, their gateway away', `${inFlight.ids.length}, of build one ${openOf(page, 'one')}`);
  await change(page, fill);
  const after = await place(20);
  note(
    'upgraded by the page to build `two`',
    `sagas open: of one ${openOf(page, 'one')}, of two ${openOf(page, 'two')}`,
  );

  // Too early: the old worker goes while its sagas are open.
  sh('docker compose stop worker-draining', { cwd: folder });
  const noticedS = await until(
    'doctor notices',
    () => !succeeds(() => page.run(/^ops doctor/)) && said.includes('no worker runs order-saga:one'),
    200,
  );
  note(
    'the old build’s worker stopped while its sagas are open',
    `\`ops doctor\` fails at \`workers\` after ${noticedS} s: “${/no worker runs [^"\n]*/.exec(said)?.[0].trim()}”`,
  );
  sh('docker compose start worker-draining', { cwd: folder });

  sh('docker compose start sandbox', { cwd: folder });
  const first = await finals({ ...inFlight, began: performance.now() });
  const second = await finals({ ...after, began: performance.now() });
  if (!first.allConfirmed || !second.allConfirmed) throw new Error(`after the upgrade: ${first.said}; ${second.said}`);
  note('the gateway is back', `those begun on one: ${first.said}; on two: ${second.said}, within ${first.tookS} s`);
  await until('the old build is drained', () => openOf(page, 'one') === 0);
  page.run(/^temporal worker deployment describe --name/, fill);
  note('open sagas of build one, then its worker removed', `${openOf(page, 'one')}`);
  page.run(/^docker compose rm --stop --force worker-draining/, fill);
  setEnv(['COMPOSE_PROFILES=dev']);
}

export async function back({ folder, page, setEnv, note }) {
  const fill = names('two', 'one');
  sh('docker compose stop sandbox', { cwd: folder });
  const inFlight = await place(40);
  await change(page, fill);
  const after = await place(20);
  note(
    'back to build `one` with sagas in flight',
    `sagas open: of two ${openOf(page, 'two')}, of one ${openOf(page, 'one')}`,
  );
  sh('docker compose start sandbox', { cwd: folder });
  const first = await finals({ ...inFlight, began: performance.now() });
  const second = await finals({ ...after, began: performance.now() });
  if (!first.allConfirmed || !second.allConfirmed) throw new Error(`after the way back: ${first.said}; ${second.said}`);
  note('the gateway is back', `those begun on two: ${first.said}; on one: ${second.said}, within ${first.tookS} s`);
  page.run(/^docker compose rm --stop --force worker-draining/, fill);
  setEnv(['COMPOSE_PROFILES=dev']);
}

/** Part by part, with orders all the while, and what is to be asked before. */
export async function rollout({ page, setEnv, note }) {
  const fill = { ...names('one', 'two'), '<you>': 'op-proof --yes --hold 5s --sagas 3 --within 2m' };
  const load = placing();
  try {
    page.run(/^docker compose cp worker:/);
    page.run(/^alone\(\)/);
    note('`ops replay-check` on build one’s sagas', lastLine(page.run(/^alone replay-check/)));
    await change(page, fill, async () => {
      page.run(/^docker compose cp worker-draining:/);
      let told = '';
      const rolled = () => {
        told = page.run(/^ops rollout/, fill);
        return true;
      };
      const took = await until('the rollout', rolled, 300); // refused until a worker of that build has polled
      note('`ops rollout` under orders, steps of 5 s', `${lastLine(told)} (${took} s)`);
    });
  } finally {
    load.kill();
  }
  await until('the old build is drained', () => openOf(page, 'one') === 0);
  page.run(/^docker compose rm --stop --force worker-draining/, fill);
  setEnv(['COMPOSE_PROFILES=dev']);
}
const lastLine = (text) => text.trim().split('\n').at(-1);

/** In a process of its own: the page's commands hold this one up. */
const placing = () =>
  spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { pause, place } from '${import.meta.resolve('./orders.mjs')}'; for (;;) { await place(1); await pause(); }`,
    ],
    { stdio: 'ignore' },
  );

/** The page's own steps from one build to another. */
async function change(page, fill, makeCurrent = () => made(page, /set-current-version .*<new> --yes/, fill)) {
  page.run(/^# in \.env: DRAINING_IMAGE/, fill);
  page.run(/^docker compose up -d --no-deps --wait worker-draining/, fill);
  page.run(/^# in \.env: ORDER_SAGA_IMAGE=order-saga:<new>/, fill);
  page.run(/^docker compose build +#/, fill);
  page.run(/^docker compose run --rm migrate$/, fill);
  page.run(/^docker compose up -d --no-deps --wait worker$/, fill);
  await makeCurrent();
  page.run(/^docker compose up -d --no-deps --wait relay api/, fill);
}

/** Refused until a worker of that build has polled. */
const made = (page, which, fill) => until('the build is current', () => page.run(which, fill) !== undefined, 60);

let said = '';
function succeeds(act) {
  try {
    act();
    return true;
  } catch (err) {
    said = err.message;
    return false;
  }
}
