/**
 * Where each thing goes that a client, a customer or an operator writes: every field of a request, and every place in which its words
 * are found afterwards. A test writes a word of its own into each, takes orders along every path, and searches everything.
 */
export type Flow = { readonly to: readonly string[] };

const places = (text: string): Flow => ({ to: text.split(/\s+/).filter((place) => place !== '') });
const NOWHERE: Flow = { to: [] };

/** By operation and field, as the OpenAPI document names them; headers that any request may have are of `any`. */
export const FLOWS: Readonly<Record<string, Flow>> = {
  'POST /orders body.customerId': places(''),
};
