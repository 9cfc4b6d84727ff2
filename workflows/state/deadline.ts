/** When a saga that is still parked unwinds by itself. The time in which a brake holds it does not count. */
export class Deadline {
  #atMs: number;
  #heldFromMs: number | undefined;

  /** @param atMs since the epoch, as all times here */
  constructor(atMs: number) {
    this.#atMs = atMs;
  }

  /** It stands still just now. */
  get isHeld(): boolean {
    return this.#heldFromMs !== undefined;
  }

  /** As far as is known: while it stands still, if it were let go at once. */
  get atMs(): number {
    return this.#heldFromMs === undefined ? this.#atMs : this.#atMs + Date.now() - this.#heldFromMs;
  }

  hold(): void {
    this.#heldFromMs ??= Date.now();
  }

  letGo(): void {
    this.#atMs = this.atMs;
    this.#heldFromMs = undefined;
  }
}
