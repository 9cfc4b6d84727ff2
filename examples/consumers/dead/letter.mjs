/** A dead letter as a broker keeps it: the message as it came, and headers that say why it is here. */

const OWN = 'dead-';
const CONTROL = /\p{Cc}/gu;

/** @returns headers, all of them text */
export function toHeaders({ id, subject, sequence, cause, headers }, consumer) {
  const own = { id, subject, sequence, cause, consumer, at: new Date().toISOString() };
  const given = Object.entries(own).filter(([, value]) => value !== undefined);
  return Object.fromEntries([
    ...Object.entries(headers),
    ...given.map(([name, value]) => [`${OWN}${name}`, `${value}`.replaceAll(CONTROL, ' ')]), // a cause may have lines
  ]);
}

/** @returns undefined if it is another consumer's */
export function toLetter(allHeaders, body, consumer) {
  const entries = Object.entries(allHeaders);
  const own = Object.fromEntries(
    entries.filter(([name]) => name.startsWith(OWN)).map(([name, value]) => [name.slice(OWN.length), value]),
  );
  if (own.consumer !== consumer) return undefined;
  const { sequence, ...about } = own;
  const headers = Object.fromEntries(entries.filter(([name]) => !name.startsWith(OWN)));
  return { ...about, ...(sequence !== undefined && { sequence: Number(sequence) }), headers, body };
}
