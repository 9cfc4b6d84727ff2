// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what is changed is source text
import type { Mutant } from '../mutant.js';

const CHAIN = 'test/domain/audit.test.ts';

export default [
  {
    id: 'act-without-its-values',
    promise: 'What an act has changed cannot be rewritten by whoever owns the database.',
    file: 'domain/audit/signatures.ts',
    find: '        act.before,\n        act.after,\n',
    replace: '',
    test: CHAIN,
    name: 'changing what a price was before',
  },
  {
    id: 'acts-not-chained',
    promise: 'An entry that we have signed in another past does not pass in the place of this one’s.',
    file: 'domain/audit/signatures.ts',
    find: '        act.after,\n        previous,',
    replace: '        act.after,',
    test: CHAIN,
    name: 'putting an entry of another past in its place, which we did sign',
  },
  {
    id: 'unsigned-acts-believed',
    promise: 'After the first entry with a key, none without one passes.',
    file: 'domain/audit/signatures.ts',
    find: 'keyId === UNKEYED ? (isKeyed ? undefined : NO_KEY) : known.get(keyId);',
    replace: 'keyId === UNKEYED || isKeyed === undefined ? NO_KEY : known.get(keyId);',
    test: CHAIN,
    name: 'what was recorded before there was a key is covered by the first entry that is signed with one',
  },
  {
    id: 'name-not-signed',
    promise: 'Who has acted cannot be changed unnoticed.',
    file: 'domain/audit/flaws.ts',
    find: '(name) => row[name] !== null && hex(',
    replace: '(name) => row[name] === null && hex(',
    test: CHAIN,
    name: 'changing who it was',
  },
  {
    id: 'done-though-not-recorded',
    promise: 'What cannot be recorded in the audit trail is not done.',
    file: 'domain/audit/acts.ts',
    find: "return { result, recorded: made && (await append(tx, keys, 'act', actor, made)) };",
    replace: 'return { result, recorded: made && null };',
    test: 'test/api/audit.test.ts',
    name: 'and is not done if it cannot be',
  },
  {
    id: 'acts-side-by-side',
    promise: 'Acts at the same time are one chain.',
    file: 'domain/audit/acts.ts',
    find: "  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('audit_acts'))`;\n",
    replace: '',
    test: 'test/api/audit.test.ts',
    name: 'and many at a time are one chain',
  },
  {
    id: 'refused-calls-forgotten',
    promise: 'A call that is refused for want of a token or a role is on record.',
    file: 'api/access/audit-recorder.ts',
    find: "if (isRefused(request, reply)) auditor().note(request, 'refused', reply.statusCode);",
    replace: 'if (isRefused(request, reply)) return done();',
    test: 'test/api/audit.test.ts',
    name: 'for want of a token, of a role, and for what the caller may not see',
  },
] satisfies Mutant[];
