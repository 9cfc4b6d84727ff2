/** Problems in the OpenAPI document: which of them an operation can answer, each with an example. */
import { PROBLEMS, type ProblemCode, ProblemSchema } from '../http/problems.js';

const OWN = 'x-problems';

/** A route's own problems, as its `4xx` schema; those that any request of its kind can meet are added in operations.ts. */
export const problemResponses = (...codes: ProblemCode[]) => ({ ...ProblemSchema, [OWN]: codes });

export const problemCodesOf = (schema: unknown): ProblemCode[] =>
  (schema as { [OWN]?: ProblemCode[] } | undefined)?.[OWN] ?? [];

/** The response documented for the problems of one status. Their codes are the examples’ names. */
export const describeProblems = (codes: ProblemCode[]) => ({
  description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code][1]}`).join('. '),
  content: {
    'application/problem+json': {
      schema: ProblemSchema,
      examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
    },
  },
});

export function problemExamples() {
  const example = (code: ProblemCode) => {
    const [status, title, remedy] = PROBLEMS[code];
    const correlationId = '01a1fc4b-2622-70f0-8b6b-725674f9c1d0';
    return { summary: remedy, value: { type: `/problems/${code}`, title, status, detail: title, code, correlationId } };
  };
  return Object.fromEntries((Object.keys(PROBLEMS) as ProblemCode[]).map((code) => [code, example(code)]));
}
