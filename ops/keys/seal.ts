/** `keys seal`: how far what stood plain before there was encryption has been sealed, and having clients' ids sealed at all. */
import type { Change } from '../../domain/audit/acts.js';
import { beginSealing, type Pass, readPasses } from '../../domain/sealing/passes.js';
import { askBefore, signatureOf, type SignatureOptions } from '../act.js';
import type { Ops } from '../command.js';
import { usage, EXIT, type ExitCode } from '../exit.js';
import { createRecorder } from '../recorder.js';

export type SealOptions = SignatureOptions & { begin?: boolean };

export async function seal(ops: Ops, options: SealOptions): Promise<ExitCode> {
  const { out, to, config } = ops;
  const db = await to.database();
  const before = await readPasses(db);
  if (options.begin && before.length === 0) {
    if (config.KEY_ENCRYPTION === 'off') throw usage('KEY_ENCRYPTION is off: set it as the service has it.');
    const { operator, reason } = signatureOf(options, config);
    await askBefore(
      ops,
      'seal clients’ ids? The release before, and processes without KEY_ENCRYPTION, cannot read them',
      options.yes,
    );
    await createRecorder(ops, 'keys seal --begin', operator).act(db, beginning(reason));
  }
  const passes = await readPasses(db);
  out.document({
    begun: passes.length > 0,
    passes: passes.map(({ name, place: _, ...pass }) => ({ what: name, ...pass })),
  });
  out.notice(passes.length === 0 ? NOT_BEGUN : passes.map(said).join('\n'));
  return EXIT.done;
}

const NOT_BEGUN =
  'Clients’ ids are stored as they are: begin when every process has KEY_ENCRYPTION, and none of the release before runs (--begin).';

const said = ({ name, looked, sealed, beganAt, doneAt }: Pass): string => {
  const soFar = `${looked} looked at, ${sealed} sealed`;
  if (beganAt === null) return `${name}: waits for a relay that has KEY_ENCRYPTION.`;
  return doneAt === null ? `${name}: under way, ${soFar}.` : `${name}: done at ${doneAt.toISOString()}, ${soFar}.`;
};

const beginning = (reason: string): Change<boolean> => ({
  before: async () => null,
  change: beginSealing,
  effect: (isBegun) =>
    isBegun ? { resource: null, reason, before: { clientIds: 'plain' }, after: { clientIds: 'sealed' } } : null,
});
