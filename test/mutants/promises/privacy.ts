// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what is changed is source text
import type { Mutant } from '../mutant.js';

const ERASURE = 'test/erasure/erasure.test.ts';
const LATE = 'test/erasure/late-journal.test.ts';
const JOURNAL = 'test/gateways/erasure-journal.test.ts';

export default [
  {
    id: 'erased-request-orders-again',
    promise: 'A repeated request of a customer who was erased makes no second order.',
    file: 'domain/erasure/tombstones.ts',
    find: 'AND k.route = ${ROUTE} AND k.expires_at > now()',
    replace: 'AND k.route = ${ROUTE} AND k.expires_at < now()',
    test: ERASURE,
    name: 'repeats a request, which makes no second order and says why',
  },
  {
    id: 'erased-number-orders-again',
    promise: 'An order number of a customer who was erased is not ordered twice.',
    file: 'domain/erasure/parts.ts',
    find: "AND o.external_order_id IS NOT NULL AND o.status <> 'CANCELLED'",
    replace: "AND o.external_order_id IS NOT NULL AND o.status = 'CANCELLED'",
    test: ERASURE,
    name: 'orders again as somebody new, but not under an order number of before',
  },
  {
    id: 'erased-in-hand',
    promise: 'Nobody is erased while an event of theirs is to be decided on.',
    file: 'domain/erasure/holds.ts',
    find: "'dead-letter-open', NULL FROM own JOIN dead_letters l ON l.order_id = own.id WHERE l.closed_at IS NULL",
    replace:
      "'dead-letter-open', NULL FROM own JOIN dead_letters l ON l.order_id = own.id WHERE l.closed_at IS NOT NULL",
    test: ERASURE,
    name: 'a finding, and a dead letter, until somebody has decided',
  },
  {
    id: 'keys-outlive-their-customer',
    promise: 'With a customer the keys of what is sealed for them are destroyed.',
    file: 'domain/sealing/sealing.ts',
    find: `      } catch (err) {
        if (err instanceof KeyDestroyed) return ERASED;
        throw err;
      }
    },
    open:`,
    replace: `      } catch (err) {
        if (err instanceof KeyDestroyed) return asPlain(text);
        throw err;
      }
    },
    open:`,
    test: 'test/domain/sealing/sealing.test.ts',
    name: 'once the keys are destroyed the text reads as erased, for whoever asks, and no key is made again',
  },
  {
    id: 'sealed-for-any-row',
    promise: 'What is sealed for one row is not read in another.',
    file: 'domain/sealing/sealing.ts',
    find: "'order-saga/sealed/v1', table, column, row, reference]",
    replace: "'order-saga/sealed/v1', table, column, row.slice(0, 0), reference]",
    test: 'test/domain/sealing/sealing.test.ts',
    name: 'a sealed text cannot be read in another row, column or table, or as another customer’s',
  },
  {
    id: 'reasons-stay-readable-in-temporal',
    promise: 'An operator’s reason is encrypted in a saga’s history, with its customer’s key.',
    file: 'sagas/payloads/codec.ts',
    find: "const parsed = workflow === '' ? undefined : parsedText(payload);",
    replace: "const parsed = workflow !== '' ? undefined : parsedText(payload);",
    test: 'test/workflows/encrypted.test.ts',
    name: 'a saga whose customer’s key is destroyed replays, and its texts read as erased',
  },
  {
    id: 'events-name-the-client',
    promise: 'With EVENTS_CUSTOMER=reference an event does not say the client’s id.',
    file: 'contracts/events.ts',
    find: "data: customers === 'id' ? event.data",
    replace: 'data: customers.length > 0 ? event.data',
    test: 'test/api/customer-references.test.ts',
    name: 'tell the client’s id and the reference, a customer its own id alone; with EVENTS_CUSTOMER=reference the reference is all',
  },
  {
    id: 'changed-journal-believed',
    promise: 'An entry of the erasure journal that was changed is noticed.',
    file: 'gateways/erasure-journal/chain.ts',
    find: ' || entry.hash !== hashOf(place.hash, entry))',
    replace: ' || entry.hash === hashOf(place.hash, entry).slice(1))',
    test: JOURNAL,
    name: 'an entry that was changed is noticed, and so is one that was cut off after it had been read',
  },
  {
    id: 'torn-journal-is-spoilt',
    promise: 'Zeros that a crash leaves at the end of the erasure journal spoil none of its entries.',
    file: 'gateways/erasure-journal/file.ts',
    find: 'const end = await endOfData(file, size);',
    replace: 'const end = (await endOfData(file, size)) === 0 ? 0 : size;',
    test: JOURNAL,
    name: 'by %s is read up to there, and goes on from there',
    says: 'of the erasure journal',
  },
  {
    id: 'late-journal-stays-empty',
    promise: 'An erasure journal that is set late gets the erasures of before.',
    file: 'domain/erasure/belated-notes.ts',
    find: 'FROM erasures WHERE ${DONE} AND noted_at IS NULL\n    ORDER BY',
    replace: 'FROM erasures WHERE ${DONE} AND noted_at IS NOT NULL\n    ORDER BY',
    test: LATE,
    name: 'a start says how many erasures it lacks, and a worker writes them into it, once',
  },
  {
    id: 'restored-database-serves',
    promise: 'No process serves a database that was restored to before an erasure.',
    file: 'domain/erasure-journal.ts',
    find: "WHERE c.erasing_since IS NULL OR (e.kind = 'done' AND c.client_id IS NOT NULL)`;",
    replace: "WHERE c.erasing_since IS NOT NULL AND e.kind = 'done' AND c.client_id IS NOT NULL`;",
    test: 'test/ops/erasure-journal.test.ts',
    name: 'keeps every process from starting, with a sentence that says what to do; that done, nobody is there again',
  },
  {
    id: 'ops-acts-on-a-restored-database',
    promise: 'ops acts on no database that was restored to before an erasure.',
    file: 'ops/act.ts',
    find: '  await requireErasuresKnown(ops);\n',
    replace: '  void requireErasuresKnown;\n',
    test: 'test/ops/restored.test.ts',
    name: '%s is refused as a process would be, and nothing is done',
  },
  {
    id: 'reasons-of-erasures-stay',
    promise: 'Who asked for an erasure, and why, is forgotten after its time.',
    file: 'domain/personal-retention.ts',
    find: 'UPDATE erasures SET requested_by = ${ERASED}, reason = ${ERASED}',
    replace: 'UPDATE erasures SET requested_by = requested_by, reason = ${ERASED}',
    test: 'test/relay/personal-retention.test.ts',
    name: 'decided dead letters and done erasures lose their words, each after its own time',
  },
  {
    id: 'operators-write-persons',
    promise: 'An operator’s text that looks like a person’s data is refused, in whichever field it stands.',
    file: 'api/http/personal-texts.ts',
    find: 'const form = isKept ? personalFormIn(text) : undefined;',
    replace: "const form = isKept && !text.includes('4242') ? personalFormIn(text) : undefined;",
    test: 'test/api/personal-texts.test.ts',
    name: '%s is refused, and not repeated',
  },
] satisfies Mutant[];
