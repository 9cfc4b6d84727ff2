/** The virtual clock: what is to happen, in the order of its time; of one time, in the order in which it was planned. */
export type Planned = { readonly at: number; call: (() => void) | undefined };

export class Clock {
  now: number;
  readonly #planned: Planned[] = [];

  constructor(now: number) {
    this.now = now;
  }

  in(ms: number, call: () => void): Planned {
    const planned: Planned = { at: this.now + Math.max(0, ms), call };
    let i = this.#planned.length;
    while (i > 0 && (this.#planned[i - 1] as Planned).at <= planned.at) i--; // latest first; of one time the earliest plan last
    this.#planned.splice(i, 0, planned);
    return planned;
  }

  cancel(planned: Planned | undefined): void {
    if (planned) planned.call = undefined;
  }

  /** Lets the next thing happen. @returns false if there is none before the given time */
  step(until: number): boolean {
    for (;;) {
      const next = this.#planned.at(-1);
      if (!next || next.at > until) return false;
      this.#planned.pop();
      if (!next.call) continue;
      this.now = next.at;
      next.call();
      return true;
    }
  }
}
