/** Which of its forms the erasure journal has, by what ERASURE_JOURNAL says. */
import { type Alone, openFileJournal } from './file.js';
import type { ErasureJournal } from './journal.js';
import { type Connections, openPostgresJournal } from './postgres.js';

export const isPostgresPlace = (place: string): boolean => /^postgres(ql)?:\/\//.test(place);

/**
 * @param place    a path or a postgresql:// URL; a function where it comes from a file, which may change
 * @param alone    the lock of those who append to a file
 * @param openPool makes connections to another cluster
 */
export function openErasureJournal(
  place: () => string,
  { alone, openPool }: { alone: Alone; openPool: (url: () => string) => Connections },
): ErasureJournal {
  const first = place();
  if (!isPostgresPlace(first)) return openFileJournal(first, alone);
  const { host, pathname } = new URL(first);
  return openPostgresJournal(openPool(place), `${host}${pathname}`);
}
