/** `keys make`: a key file, or a new key before those that it has. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { openKeyFile } from '../../gateways/key-encryption/file.js';
import type { Ops } from '../command.js';
import { EXIT, type ExitCode, usage } from '../exit.js';
import { reasonOf } from './store.js';

export type MakeOptions = { file: string; ifMissing?: true };

export async function makeKey({ out }: Ops, { file, ifMissing }: MakeOptions): Promise<ExitCode> {
  const isThere = existsSync(file);
  if (isThere && ifMissing) {
    const current = await read(file); // what is there is to be a key file
    out.document({ file, made: false, current });
    out.notice(`${file} is there; ${current} wraps.`);
    return EXIT.done;
  }
  if (isThere) await read(file);
  const id = `${new Date().toISOString().slice(0, 10)}-${randomBytes(3).toString('hex')}`;
  const line = `${id} ${randomBytes(32).toString('base64')}\n`;
  // Whole or as it was, whatever happens meanwhile.
  const draft = `${file}.${process.pid}.new`;
  try {
    writeFileSync(draft, line + (isThere ? readFileSync(file, 'utf8') : ''), { mode: 0o600, flag: 'wx' });
    chmodSync(draft, 0o600);
    renameSync(draft, file);
  } catch (err) {
    throw usage(`${file} cannot be written (${(err as NodeJS.ErrnoException).code}).`);
  }
  const current = await read(file);
  out.document({ file, made: true, current });
  out.notice(
    `${file}: ${current} wraps from now on.${isThere ? ' Next: ops keys rewrap.' : ''} Keep a copy of the file apart from the database’s backups.`,
  );
  return EXIT.done;
}

/** @throws OpsError usage if it is no key file */
async function read(file: string): Promise<string> {
  try {
    return await openKeyFile(file).currentId();
  } catch (err) {
    throw usage(reasonOf(err));
  }
}
