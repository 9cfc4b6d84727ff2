/** Texts of operators, which are kept for ever: what looks like personal data in them is refused, and the field named, not its words. */
import type { Ajv } from 'ajv';
import { personalFormIn, refusalOf } from '../../contracts/personal-data.js';
import { Problem } from './problems.js';
import { NO_PERSONAL_DATA } from './schemas.js';

export function addPersonalDataKeyword(ajv: Ajv): Ajv {
  const validate: { (isKept: boolean, text: string): boolean; errors?: object[] } = (isKept, text) => {
    const form = isKept ? personalFormIn(text) : undefined;
    validate.errors = form === undefined ? [] : [{ keyword: NO_PERSONAL_DATA, message: refusalOf(form), params: {} }];
    return form === undefined;
  };
  return ajv.addKeyword({ keyword: NO_PERSONAL_DATA, type: 'string', errors: true, validate });
}

/** Of a field that is kept for ever only if an operator has written it. @throws Problem invalid-request */
export function refusePersonalText(pointer: string, text: string): void {
  const form = personalFormIn(text);
  if (form === undefined) return;
  const detail = refusalOf(form);
  throw new Problem('invalid-request', `${pointer}: ${detail}`, { errors: [{ pointer, detail }] });
}
