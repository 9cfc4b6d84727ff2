/** `audit verify`: whether the audit trail is what was signed, from its first entry to the one that was anchored outside the database. */
import type { Command } from 'commander';
import type { Flaw } from '../domain/audit/flaws.js';
import { UNKEYED } from '../domain/audit/signatures.js';
import { type Verification, verifyAudit } from '../domain/audit/verification.js';
import { type AnchorFile, readAnchorFile } from '../runtime/audit-files.js';
import { type Ops, run } from './command.js';
import { EXIT, type ExitCode, usage } from './exit.js';
import { anchorFileOf, readKeys } from './recorder.js';

export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').summary('whether the audit trail is what was signed');
  const verify = audit
    .command('verify')
    .summary('verify the audit trail; ends with 1 and names the first entry that is not in order')
    .description(
      'Verifies every act by its signature and by that of the one before, the audited calls by theirs and by the seals of their days, and that the chain reaches to its anchor. Reads the key from AUDIT_KEY or AUDIT_KEY_FILE and the anchor from AUDIT_ANCHOR_FILE, else those of DATA_DIR, as `npm start` has made them.',
    )
    .option('--anchor <file>', 'an anchor that was kept elsewhere')
    .action((options: { anchor?: string }) => run(verify, (ops) => verifyTrail(ops, options)));
}

async function verifyTrail(ops: Ops, options: { anchor?: string }): Promise<ExitCode> {
  const { out, config } = ops;
  const keys = readKeys(config);
  const file = options.anchor ?? anchorFileOf(config);
  const anchor = file === undefined ? undefined : readAnchorFile(file); // before the chain, which only grows
  if (file !== undefined && anchor === undefined)
    throw usage(`There is no anchor at ${file}: what was cut off would not be missed.`);
  const db = await ops.to.database();
  const found = await verifyAudit(db, keys, anchor);
  if (found.flaw?.what === 'unknown-key' && keys.signing.id === UNKEYED)
    throw usage('The chain is signed, and no key is known here: set AUDIT_KEY or AUDIT_KEY_FILE.');
  out.document({ whole: found.flaw === null, ...found, anchor: anchor ?? null, keyed: keys.signing.id !== UNKEYED });
  if (anchor === undefined)
    out.notice('No anchor is known (AUDIT_ANCHOR_FILE): entries that were cut off the end are not missed.');
  if (keys.signing.id === UNKEYED) out.notice('No key is known (AUDIT_KEY): without one, nothing is proved.');
  if (found.flaw === null) out.print(describeWhole(found, anchor));
  else out.print(out.paint('red', describeFlaw(found.flaw)));
  return found.flaw === null ? EXIT.done : EXIT.failed;
}

function describeWhole({ head, checked, erased }: Verification, anchor: AnchorFile | undefined): string {
  const anchored = anchor ? `, anchored to entry ${anchor.id} at ${anchor.at}` : '';
  const gone = erased === 0 ? '' : ` Of ${erased} of them something that identified a person was erased.`;
  return `The audit trail is whole: ${checked.acts} acts${anchored}, ${checked.calls} calls, ${checked.trail} rows of before the chain.${gone} Its head: ${head?.id ?? 0} ${head?.hash ?? ''}`.trimEnd();
}

const TABLES = { acts: 'act', calls: 'audited call', trail: 'row of before the chain' } as const;

const describeFlaw = ({ table, id, what, detail }: Flaw): string =>
  `The audit trail is not whole. The first that is not in order: ${TABLES[table]} ${id} (${what}): ${detail}.`;
