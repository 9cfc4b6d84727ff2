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

  put(record: T): void {
    const place = this.#places.get(record.id) ?? this.items.length;
    this.#places.set(record.id, place);
    this.items[place] = record;
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
