/**
 * A tape: every choice that a simulation makes, in the order in which it was made. It is written by a seed, or read back; where a tape
 * that is read has come to its end, the choice is 0, which always means that nothing out of the ordinary happens. So any list of
 * numbers is a simulation, and a shorter one, or one with more noughts, is a simpler one (shrinking.ts).
 */
export class Tape {
  readonly #given: readonly number[] | undefined;
  #state: number;
  readonly values: number[] = [];

  constructor(source: { seed: number } | { values: readonly number[] }) {
    this.#given = 'values' in source ? source.values : undefined;
    // Neighbouring seeds must not make neighbouring numbers: one round before the first.
    this.#state = 'seed' in source ? Math.imul(source.seed ^ 0x9e3779b9, 0x85ebca6b) ^ (source.seed >>> 3) : 0;
  }

  /** @returns one of 0 … n-1 */
  pick(n: number): number {
    return this.#keep(this.#given ? this.#next() % n : Math.floor(this.#random() * n));
  }

  /** @returns true in so many of a thousand */
  chance(perMille: number): boolean {
    if (perMille === 0) return false;
    return this.#keep(this.#given ? (this.#next() > 0 ? 1 : 0) : this.#random() * 1_000 < perMille ? 1 : 0) === 1;
  }

  /** @param list the first is what is ordinary */
  oneOf<T>(list: readonly T[]): T {
    return list[this.pick(list.length)] as T;
  }

  #next(): number {
    return Math.abs(this.#given?.[this.values.length] ?? 0);
  }

  #keep(value: number): number {
    this.values.push(value);
    return value;
  }

  /** Mulberry32: 32 bits of state are enough for tapes of some hundred choices. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
}
