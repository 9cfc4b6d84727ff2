/**
 * Lock: a folder that names the one living process that owns it. It outlives a crash of its owner, but binds no process then:
 * the next one sees that the owner is gone and takes over.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTimeOf } from './start-time.mjs';

/** Often enough that the wait is not noticed, rarely enough that waiting costs nothing. */
const LOOK_AGAIN_MS = 200;
/** Several may find the same stale lock; one of them wins each round. */
const ROUNDS = 100;

/** @returns the release, or the process id of the living owner */
export function tryLock(path) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = JSON.stringify({ pid: process.pid, birth: startTimeOf(process.pid) });
  for (let round = 0; round < ROUNDS; round += 1) {
    if (claim(path, mine)) return { release: () => release(path, mine) };
    const theirs = read(path);
    const owner = theirs === undefined ? undefined : livingOwner(theirs);
    if (owner !== undefined) return { owner };
    if (theirs !== undefined) discard(path, theirs);
  }
  throw new Error(`${path} cannot be locked. Remove it if no other order-saga process runs here.`);
}

/** Waits for as long as the owner lives. @returns the release */
export async function lock(path, onWait) {
  for (let first = true; ; first = false) {
    const { release, owner } = tryLock(path);
    if (release !== undefined) return release;
    if (first) onWait(owner);
    await sleep(LOOK_AGAIN_MS);
  }
}

/** Renaming puts the folder in place with its content, or fails because there is one: no process ever reads half a lock. */
function claim(path, content) {
  const draft = `${path}.${randomUUID()}`;
  mkdirSync(draft);
  writeFileSync(join(draft, 'owner'), content);
  try {
    renameSync(draft, path);
    return true;
  } catch (err) {
    rmSync(draft, { recursive: true, force: true });
    if (!['EEXIST', 'ENOTEMPTY', 'EPERM'].includes(err.code)) throw err;
    return false;
  }
}

/** Takes a dead owner's lock away; gives it back if someone else took over between our look and our grasp. */
function discard(path, stale) {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
    if (read(aside) !== stale) renameSync(aside, path);
  } catch (err) {
    if (!['ENOENT', 'EEXIST', 'ENOTEMPTY'].includes(err.code)) throw err;
  }
  rmSync(aside, { recursive: true, force: true });
}

function release(path, mine) {
  if (read(path) === mine) discard(path, mine);
}

function read(path) {
  try {
    return readFileSync(join(path, 'owner'), 'utf8');
  } catch (err) {
    if (err.code === 'ENOENT') return undefined;
    throw err;
  }
}

function livingOwner(content) {
  try {
    const { pid, birth: startTime } = JSON.parse(content); // the name in the file is as old as the first release
    return startTime !== undefined && startTime === startTimeOf(pid) ? pid : undefined;
  } catch {
    return undefined; // not written by us, or by a disk that lost it: it has no owner
  }
}
