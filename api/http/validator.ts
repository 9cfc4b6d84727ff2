/**
 * Validation of requests: every field that is wrong is reported at once, so that a client can be corrected in one go, but no
 * more of them than a person reads. What a body can cost here is bounded by its 64 KiB.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Api } from '../dependencies.js';
import { ERRORS_MAX } from './problems.js';

/** Bodies are taken as they are: no coercion, no field dropped in silence. Query strings are text, so they are read as such. */
export function validateStrictly(app: Api): void {
  const base = {
    removeAdditional: false,
    allErrors: true,
    strict: false,
    formats: { uuid: true, 'date-time': true },
  } as const;
  const strict = new Ajv({ ...base, coerceTypes: false, useDefaults: false });
  const lenient = new Ajv({ ...base, coerceTypes: true, useDefaults: true });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    reportingEachFieldOnce((httpPart === 'body' ? strict : lenient).compile(schema as object)),
  );
}

type Validator = { (data: unknown): boolean; errors?: ErrorObject[] | null };

function reportingEachFieldOnce(validate: ValidateFunction): Validator {
  const validator: Validator = (data) => {
    const isValid = validate(data);
    validator.errors = isValid ? null : selectReported(validate.errors ?? []);
    return isValid;
  };
  return validator;
}

/** One more than is reported, so that the error handler sees that there are more. Of thousands, only these cost anything. */
function selectReported(errors: ErrorObject[]): ErrorObject[] {
  const reported = new Map<string, ErrorObject>();
  // Unknown fields come last: they must not crowd out those that are missing or wrong.
  for (const isUnknown of [false, true]) {
    for (const error of errors) {
      if ((error.keyword === 'additionalProperties') !== isUnknown) continue;
      const { additionalProperty, missingProperty } = error.params;
      const field = JSON.stringify([error.instancePath, additionalProperty ?? missingProperty]);
      if (!reported.has(field)) reported.set(field, error);
      if (reported.size > ERRORS_MAX) return [...reported.values()];
    }
  }
  return [...reported.values()];
}
