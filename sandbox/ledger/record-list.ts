/** RecordList: records by id, in the order in which they first appeared. */

export interface Listed {
  id: string;
  /** Milliseconds since 1970; never decreases along a list, which is what lets a page stop early. */
  at: number;
}

/** A run of records, oldest first, as paging needs it. */
export interface Run<T extends Listed> {
  readonly items: readonly T[];
  /** -1 if there is none. */
  indexOf(id: string): number;
}

export class RecordList<T extends Listed> implements Run<T> {
  readonly items: T[] = [];
  readonly #places = new Map<string, number>();
  /** By place: when each was last recorded. */
  readonly #changed: number[] = [];

  /** @param at when it was recorded, in milliseconds since 1970 */
  put(record: T, at: number): void {
    const place = this.#places.get(record.id) ?? this.items.length;
    this.#places.set(record.id, place);
    this.items[place] = record;
    this.#changed[place] = at;
  }

  /** Each record with when it was last recorded, in their order. */
  *dated(): Generator<[record: T, at: number]> {
    for (const [place, record] of this.items.entries()) yield [record, this.#changed[place] ?? record.at];
  }

  /** Puts others in the place of those that were last recorded before then; that is no change. @returns how many are others */
  replaceOlder(before: number, other: (record: T) => T): number {
    let count = 0;
    for (const [place, record] of this.items.entries()) {
      if ((this.#changed[place] ?? record.at) >= before) continue;
      this.items[place] = other(record);
      if (this.items[place] !== record) count += 1;
    }
    return count;
  }

  get(id: string): T | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.items[place];
  }

  indexOf(id: string): number {
    return this.#places.get(id) ?? -1;
  }
}

/** A few records that were picked by another property, e.g. the refunds of one intent. */
export function runOf<T extends Listed>(items: readonly T[]): Run<T> {
  return { items, indexOf: (id) => items.findIndex((item) => item.id === id) };
}
