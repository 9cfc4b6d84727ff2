/**
 * `erase`: a person asks for it, and is forgotten. `erasures`: how far that is, what holds it, and the certificate. Asking only writes
 * the request; a worker carries it out, as soon as nothing of the customer's orders is in hand.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { v7 as uuidv7 } from 'uuid';
import { ERASURE_STATES, type ErasureState, type HeldOrder } from '../contracts/erasures.js';
import { UNKEYED } from '../domain/audit/signatures.js';
import { identityKeyOf, lookupOf } from '../domain/customers.js';
import {
  CERTIFICATE_TYPE,
  type Certificate,
  type CertificateKeys,
  verifyCertificate,
} from '../domain/erasure/certificate.js';
import { listErasures, ReferencesIncomplete, readErasure, requestOfErasure } from '../domain/erasure/erasures.js';
import { type ErasureView, viewOf } from '../domain/erasure/view.js';
import { readSigningKey } from '../runtime/signing-key.js';
import { addSignatureOptions, askBefore, type SignatureOptions, signatureOf } from './act.js';
import { type Ops, run, wholeNumber } from './command.js';
import { addJournalCommands, applyOrShow, type JournalOptions } from './erasure-journal/command.js';
import { EXIT, type ExitCode, nothingMatched, OpsError, usage } from './exit.js';
import { age, type Output } from './output.js';
import { createRecorder, readKeys } from './recorder.js';

const LIMIT_DEFAULT = 50;
/** As an order may be placed with. */
const CUSTOMER_ID_MAX = 128;

export function addErasureCommands(program: Command): void {
  const erase = program
    .command('erase')
    .summary('erase a customer: what is personal of their orders, and who they are')
    .description(
      'Has a customer erased. It waits for what is in hand of their orders (ops erasures names it), and is told as `customer.erased`. It cannot be undone. Repeating it is harmless.',
    )
    .argument('<customer>', "the customer's id, as orders were placed with it", customerId);
  addSignatureOptions(erase)
    .addHelpText('after', "\nExamples:\n  ops erase cus_42 --reason 'the customer’s request, ticket 4711'")
    .action((id: string, options: SignatureOptions) => run(erase, (ops) => eraseCustomer(ops, id, options)));

  const erasures = program
    .command('erasures')
    .summary('customers who are erased or being erased: what holds them, certificates');
  const list = erasures
    .command('list', { isDefault: true })
    .summary('newest first')
    .addOption(new Option('--state <state>', 'only these').choices([...ERASURE_STATES]))
    .option('--limit <n>', 'show so many', wholeNumber, LIMIT_DEFAULT)
    .action((options: { state?: ErasureState; limit: number } & JournalOptions) =>
      run(list, (ops) => (options.applyJournal ? applyOrShow(ops, options) : showErasures(ops, options))),
    );
  addJournalCommands(erasures, list);
  const show = erasures
    .command('show')
    .summary('one of them: what holds it, or its report and certificate')
    .argument('<erasure>', 'its id', erasureId)
    .action((id: string) => run(show, (ops) => showErasure(ops, id)));
  const verify = erasures
    .command('verify')
    .summary('whether a certificate is genuine; ends with 1 if it is not')
    .argument('<file>', 'the certificate, or the erasure with it, as JSON')
    .option('--public-key <file>', 'of ERASURE_SIGNING_KEY, in PEM; else that one, or the key of the audit trail')
    .action((file: string, options: { publicKey?: string }) => run(verify, (ops) => verifyFile(ops, file, options)));
}

function customerId(text: string): string {
  if (text.length === 0 || text.length > CUSTOMER_ID_MAX)
    throw new InvalidArgumentError(`The id of a customer has 1 to ${CUSTOMER_ID_MAX} characters.`);
  return text;
}

function erasureId(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    throw new InvalidArgumentError(`"${text}" is not the id of an erasure.`);
  return text.toLowerCase();
}

const keysOf = ({ config }: Ops): CertificateKeys => ({ audit: readKeys(config), own: readSigningKey(config) });
const view = async (ops: Ops, erasure: Parameters<typeof viewOf>[2]): Promise<ErasureView> =>
  viewOf(await ops.to.database(), keysOf(ops), erasure, ops.config.ERASURE_DEADLINE);

async function eraseCustomer(ops: Ops, id: string, options: SignatureOptions): Promise<ExitCode> {
  const { operator, reason } = signatureOf(options, ops.config);
  const db = await ops.to.database();
  const lookup = lookupOf(await identityKeyOf(db), id);
  await askBefore(ops, `erase this customer for ever, as ${operator}?`, options.yes);
  const recorder = createRecorder(ops, 'erase', operator);
  const { erasure } = await recorder
    .act(db, requestOfErasure({ id: uuidv7(), lookup, requestedBy: operator, reason }))
    .catch((err: unknown) => {
      if (err instanceof ReferencesIncomplete)
        throw new OpsError(
          'Not all orders have the reference of their customer yet: ops pseudonyms. Nothing was done.',
          EXIT.failed,
        );
      throw err;
    });
  const shown = await view(ops, erasure);
  ops.out.document(shown);
  if (!shown.found) ops.out.print('Nobody is known by this id, or nobody any more: there is nothing to erase.');
  else ops.out.print(`Erasure ${shown.id}: ${shown.state}. It goes on by itself: ops erasures show ${shown.id}`);
  return EXIT.done;
}

async function showErasures(ops: Ops, { state, limit }: { state?: ErasureState; limit: number }): Promise<ExitCode> {
  const { out, to } = ops;
  const erasures = await listErasures(await to.database(), { state }, limit);
  const shown = await Promise.all(erasures.map((erasure) => view(ops, erasure)));
  out.document({ erasures: shown });
  if (shown.length === 0) {
    out.print('There are no such erasures.');
    return EXIT.done;
  }
  out.table(
    ['age', 'erasure', 'state', 'due', 'held by', 'requested by', 'reason'],
    shown.map((one) => [
      age(one.requestedAt),
      one.id,
      one.found ? one.state : 'found nobody',
      one.state === 'done' ? '' : dueOf(one),
      one.state === 'done' ? '' : heldBy(one),
      one.requestedBy,
      one.reason,
    ]),
  );
  return EXIT.done;
}

const dueOf = ({ dueAt }: ErasureView): string =>
  Date.parse(dueAt) < Date.now() ? `late by ${age(dueAt)}` : dueAt.slice(0, 10);
const heldBy = ({ waitingForCount: count, waitingFor: [first], stalledBy, state }: ErasureView): string =>
  stalledBy !== null
    ? `${stalledBy} is away`
    : first
      ? `${count} orders: ${whyOf(first)} ${first.orderId}`
      : state === 'waiting'
        ? 'begins within moments'
        : '';

const whyOf = ({ why, operationId }: HeldOrder): string =>
  operationId === undefined ? why : `${why} (${operationId})`;

async function showErasure(ops: Ops, id: string): Promise<ExitCode> {
  const erasure = await readErasure(await ops.to.database(), id);
  if (!erasure) throw nothingMatched(`There is no erasure ${id}.`);
  const shown = await view(ops, erasure);
  ops.out.document(shown);
  printErasure(ops.out, shown);
  return EXIT.done;
}

function printErasure(out: Output, shown: ErasureView): void {
  const { state, requestedAt, requestedBy, reason, finishedAt, customerReference } = shown;
  out.print(`${out.paint('bold', shown.id)}  ${state}`);
  out.print(`requested ${requestedAt} by ${requestedBy}: ${reason}`);
  out.print(finishedAt === null ? `due ${shown.dueAt}` : `done ${finishedAt}`);
  if (customerReference !== null) out.print(`customer ${customerReference}`);
  if (shown.stalledBy !== null) out.print(`${shown.stalledBy} is away: it goes on when that is back`);
  if (shown.waitingFor.length > 0) {
    out.print(`\n${shown.waitingForCount} orders hold it:`);
    out.table(
      ['order', 'why'],
      shown.waitingFor.map((held) => [held.orderId, whyOf(held)]),
    );
  }
  const { report, certificate } = shown;
  if (report === null) return;
  out.table(
    ['erased', ''],
    Object.entries(report.erased).map(([part, count]) => [part, `${count}`]),
  );
  out.table(
    ['stays', 'what', 'why'],
    report.kept.map(({ where, what, why }) => [where, what, why]),
  );
  out.print(
    `\nsigned: ${certificate?.signature.algorithm}, key ${certificate?.signature.keyId}; --output json has the certificate`,
  );
}

async function verifyFile(ops: Ops, file: string, { publicKey }: { publicKey?: string }): Promise<ExitCode> {
  const { out } = ops;
  const certificate = readCertificate(file);
  if (publicKey !== undefined && certificate.signature.algorithm !== 'Ed25519')
    throw usage(
      `${file} is signed by HMAC with the key of the audit trail, which has no public half: only who has AUDIT_KEY can verify it, without --public-key. Certificates have one where ERASURE_SIGNING_KEY is set.`,
    );
  const keys = keysOf(ops);
  const verdict = verifyCertificate(
    certificate,
    publicKey === undefined ? keys : { ...keys, own: readPublic(publicKey) },
  );
  const { erasure, signature } = certificate;
  out.document({ verdict, erasure, signature: { algorithm: signature.algorithm, keyId: signature.keyId } });
  if (signature.keyId === UNKEYED) out.notice('It was signed without a key: anyone could have made it.');
  if (verdict === 'genuine') out.print(`The certificate of erasure ${erasure} is genuine.`);
  else if (verdict === 'changed') out.print(out.paint('red', 'The certificate is not what was signed.'));
  else out.print(out.paint('red', `It was signed with the key ${signature.keyId}, which is not known here.`));
  return verdict === 'genuine' ? EXIT.done : EXIT.failed;
}

function readCertificate(file: string): Certificate {
  let read: { certificate?: unknown; type?: unknown };
  try {
    read = JSON.parse(readFileSync(file, 'utf8'));
  } catch (err) {
    throw usage(`${file} cannot be read as JSON (${(err as NodeJS.ErrnoException).code ?? 'it is not JSON'}).`);
  }
  // Around the certificate stands what nobody has signed: "genuine" would be read as being said of all of it.
  if (read.certificate !== undefined)
    throw usage(
      `${file} is a whole erasure. Give its certificate alone, which is what is signed: jq .certificate ${file}`,
    );
  const certificate = read as Partial<Certificate>;
  const { signature } = certificate;
  const isWhole = [signature?.algorithm, signature?.keyId, signature?.value].every((text) => typeof text === 'string');
  if (certificate.type !== CERTIFICATE_TYPE || !isWhole) throw usage(`${file} is no certificate of an erasure.`);
  return certificate as Certificate;
}

function readPublic(file: string): KeyObject {
  try {
    return createPublicKey(readFileSync(file, 'utf8'));
  } catch (err) {
    throw usage(`${file} is no public key in PEM (${(err as NodeJS.ErrnoException).code ?? 'it cannot be read'}).`);
  }
}
