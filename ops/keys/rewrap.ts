/** `keys rewrap`: the rotation of a key-encryption key, its second half. */
import { listKeksInUse, rewrapKeys } from '../../domain/sealing/rotation.js';
import { askBefore, signatureOf, type SignatureOptions } from '../act.js';
import type { Ops } from '../command.js';
import { EXIT, type ExitCode } from '../exit.js';
import { createRecorder } from '../recorder.js';
import { currentKekOf, openStore, reasonOf } from './store.js';

export type RewrapOptions = SignatureOptions & { batch: number };

export async function rewrap(ops: Ops, options: RewrapOptions): Promise<ExitCode> {
  const { out, to, config } = ops;
  const { operator, reason } = signatureOf(options, config, 'rotation of the key-encryption key');
  const store = await openStore(config);
  const db = await to.database();
  const current = await currentKekOf(store);
  const others = (await listKeksInUse(db)).filter(({ keyId }) => keyId !== current);
  const due = others.reduce((sum, { keys }) => sum + keys, 0);
  if (due === 0) {
    out.notice(`All customers’ keys are wrapped by ${current}.`);
    out.document({ current, rewrapped: 0, failed: 0 });
    return EXIT.done;
  }
  await askBefore(ops, `wrap ${due} keys of customers by ${current}, as ${operator}?`, options.yes);
  const recorder = createRecorder(ops, 'keys rewrap', operator);
  const effect = { resource: current, reason, before: { keys: others.map(({ keyId }) => keyId), due }, after: null };
  await recorder.announce(db, effect);
  const done = await rewrapKeys(db, store, {
    batch: options.batch,
    onBatch: ({ rewrapped, failed }) => out.notice(`${rewrapped} of ${due}${failed > 0 ? `, ${failed} failed` : ''}`),
  });
  const { rewrapped, failed, failure } = done;
  await recorder.conclude(db, { ...effect, after: { rewrapped, failed } });
  out.document({ current, rewrapped, failed, ...(failed > 0 && { reason: reasonOf(failure) }) });
  if (failed > 0)
    out.notice(
      `${failed} could not be wrapped anew, and stay as they were: ${reasonOf(failure)} Then run the same again.`,
    );
  else out.notice(`Done: ${current} wraps all. Keys that \`ops keys\` does not list any more may be removed.`);
  return failed > 0 ? EXIT.failed : EXIT.done;
}
