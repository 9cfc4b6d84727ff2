/** `keys rotate`: further versions of customers' own keys. */
import { findReferences, identityKeyOf } from '../../domain/customers.js';
import type { Database } from '../../domain/database.js';
import { readCustomerKeys } from '../../domain/sealing/customer-keys.js';
import { createDataKeys } from '../../domain/sealing/data-keys.js';
import { KeyDestroyed } from '../../domain/sealing/errors.js';
import { renewAllKeys } from '../../domain/sealing/rotation.js';
import { parseMoment } from '../../runtime/moments.js';
import { askBefore, signatureOf, type SignatureOptions } from '../act.js';
import type { Ops } from '../command.js';
import { EXIT, type ExitCode, nothingMatched, OpsError, usage } from '../exit.js';
import { createRecorder } from '../recorder.js';
import { currentKekOf, openStore, reasonOf } from './store.js';

export type RotateOptions = SignatureOptions & { customer?: string; all?: true; madeBefore?: string; batch: number };

export async function rotate(ops: Ops, options: RotateOptions): Promise<ExitCode> {
  const { out, to, config } = ops;
  const { customer, all, batch } = options;
  if ((customer === undefined) === (all === undefined)) throw usage('Say --customer, or --all.');
  const { operator, reason } = signatureOf(options, config, 'rotation of customers’ keys');
  const madeBefore = momentOf(options.madeBefore);
  const store = await openStore(config);
  await currentKekOf(store);
  const db = await to.database();
  const keys = createDataKeys(db, store, { customersMax: 1, ttlMs: 1 });
  const references = customer === undefined ? undefined : await referencesOf(db, customer);
  const whose = references ? 'this customer' : 'all customers that have one';
  await askBefore(ops, `make a further version of the key of ${whose}, as ${operator}?`, options.yes);
  const recorder = createRecorder(ops, 'keys rotate', operator);
  const effect = { resource: references?.[0] ?? 'all', reason, before: null, after: null };
  await recorder.announce(db, effect);
  try {
    const renewed = references
      ? (await Promise.all(references.map((reference) => keys.renew(reference)))).length
      : await renewAllKeys(db, keys, { batch, madeBefore, onBatch: (sum) => out.notice(`${sum} so far`) });
    await recorder.conclude(db, { ...effect, after: { renewed } });
    out.document({ renewed });
    out.notice(`${renewed} further ${renewed === 1 ? 'version' : 'versions'}; what was sealed before stays readable.`);
    return EXIT.done;
  } catch (err) {
    if (err instanceof KeyDestroyed) throw nothingMatched('The keys of this customer are destroyed: it gets no other.');
    const goOn = all ? ` Go on with --all --made-before ${madeBefore.toISOString()}.` : '';
    throw new OpsError(`Stopped: ${reasonOf(err)}${goOn}`, EXIT.failed, { cause: err });
  }
}

function momentOf(text: string | undefined): Date {
  const ms = text === undefined ? Date.now() : parseMoment(text);
  if (Number.isNaN(ms)) throw usage('--made-before must be a moment, such as 2026-11-21T09:00:00Z.');
  return new Date(ms);
}

const REFERENCE = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** Of those of the customer that have a key. */
async function referencesOf(db: Database, customer: string): Promise<string[]> {
  const candidates = [
    ...(REFERENCE.test(customer) ? [customer] : []),
    ...(await findReferences(db, await identityKeyOf(db), customer)),
  ];
  const found = await Promise.all(
    candidates.map(async (reference) => ((await readCustomerKeys(db, reference)).length > 0 ? [reference] : [])),
  );
  const references = found.flat();
  if (references.length === 0) throw nothingMatched('This customer has no key: nothing of it is sealed.');
  return references;
}
