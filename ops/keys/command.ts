/** `keys`: which keys wrap customers' keys, and the rotation of both, while all is at work. */
import type { Command } from 'commander';
import { countDestroyed, listKeksInUse } from '../../domain/sealing/rotation.js';
import { addJsonOption, type Ops, run, wholeNumber } from '../command.js';
import { EXIT, type ExitCode } from '../exit.js';
import { addSignatureOptions } from '../act.js';
import { makeKey, type MakeOptions } from './make.js';
import { rewrap, type RewrapOptions } from './rewrap.js';
import { rotate, type RotateOptions } from './rotate.js';
import { seal, type SealOptions } from './seal.js';
import { currentKekOf, openStore, whyNot } from './store.js';

const BATCH = 100;

export function addKeysCommands(program: Command): void {
  const keys = program
    .command('keys')
    .summary('keys of what is sealed: which are in use, and their rotation')
    .description(
      'Lists the keys that wrap customers’ keys (KEY_ENCRYPTION), how many each wraps, and whether it can still unwrap them. A key may be removed from its store when it wraps none.',
    );
  addJsonOption(keys).action(() => run(keys, listKeys));

  const rewrapCommand = keys
    .command('rewrap')
    .summary('after a new key was put first: wrap all customers’ keys by it')
    .description(
      'Has every customer’s key wrapped by the key that wraps now, in batches, while all is at work. No sealed text is touched. What was stopped goes on where it was begun again.',
    )
    .option('--batch <n>', 'so many between two lines of progress', wholeNumber, BATCH);
  addSignatureOptions(rewrapCommand).action((options: RewrapOptions) =>
    run(rewrapCommand, (ops) => rewrap(ops, options)),
  );

  const rotateCommand = keys
    .command('rotate')
    .summary('give customers further versions of their keys')
    .description(
      'Makes a further version of a customer’s key, which seals from then on; what was sealed before stays readable by the version that it names.',
    )
    .option('--customer <id>', 'the customer’s id, or its reference')
    .option('--all', 'all customers that have a key')
    .option('--made-before <time>', 'with --all: only keys older than that, to go on with a rotation that was stopped')
    .option('--batch <n>', 'so many between two lines of progress', wholeNumber, BATCH);
  addSignatureOptions(rotateCommand).action((options: RotateOptions) =>
    run(rotateCommand, (ops) => rotate(ops, options)),
  );

  const sealCommand = keys
    .command('seal')
    .summary('how far texts of before there was encryption are sealed; --begin, to seal clients’ ids at all')
    .description(
      'With KEY_ENCRYPTION a relay seals what was stored before: clients’ ids of customers, and what was said of cancelled orders. A database that had customers before begins when you say so: first see that every process has KEY_ENCRYPTION, and that none of the release before runs, which cannot read sealed ids. The service goes on meanwhile.',
    )
    .option('--begin', 'from now on; processes without KEY_ENCRYPTION do not read what is sealed then');
  addSignatureOptions(sealCommand).action((options: SealOptions) => run(sealCommand, (ops) => seal(ops, options)));

  const make = keys
    .command('make')
    .summary('put a new key first into a key file, or make the file')
    .description(
      'Makes a key of 32 random bytes and puts it before the others of the file, which may be missing. Processes wrap by it at once; then `ops keys rewrap`. Keep a copy of the file apart from the database’s backups.',
    )
    .requiredOption('--file <path>', 'the file that KEY_ENCRYPTION names')
    .option('--if-missing', 'only if there is no file yet');
  make.action((options: MakeOptions) => run(make, (ops) => makeKey(ops, options)));
}

async function listKeys({ out, to, config }: Ops): Promise<ExitCode> {
  const db = await to.database();
  const [inUse, erased] = await Promise.all([listKeksInUse(db), countDestroyed(db)]);
  const store = config.KEY_ENCRYPTION === 'off' ? undefined : await openStore(config);
  const current = store && (await currentKekOf(store));
  const keks = await Promise.all(
    inUse.map(async ({ keyId, keys, sample: { context, ...wrapped } }) => {
      const problem = store
        ? await whyNot(() => store.unwrap(wrapped, context))
        : 'KEY_ENCRYPTION is off here: it was not asked.';
      return { key: keyId, wraps: keys, isCurrent: keyId === current, ...(problem !== undefined && { problem }) };
    }),
  );
  out.document({ current: current ?? null, keys: keks, erasedCustomers: erased });
  out.table(
    ['key', 'wraps', '', ''],
    keks.map(({ key, wraps, isCurrent, problem }) => [
      ...[key, String(wraps), isCurrent ? 'wraps now' : 'to be rewrapped'],
      problem === undefined ? out.paint('green', 'unwraps') : out.paint('red', problem),
    ]),
  );
  if (current !== undefined && !keks.some(({ isCurrent }) => isCurrent)) out.notice(`${current} wraps from now on.`);
  if (erased > 0) out.notice(`The keys of ${erased} ${erased === 1 ? 'customer' : 'customers'} are destroyed.`);
  return keks.some(({ problem }) => problem !== undefined) ? EXIT.failed : EXIT.done;
}
