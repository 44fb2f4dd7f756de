/** Lets so many pieces of work run at once and so many wait, in the order in which they came; refuses the rest. */
export class Gate {
  readonly #limit: { readonly atOnce: number; readonly waiting: number };
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: { readonly atOnce: number; readonly waiting: number }) {
    this.#limit = limit;
  }

  /** What the work gives, or undefined, at once, where too many wait already. */
  async tryRun<T extends object>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#running >= this.#limit.atOnce) {
      if (this.#waiting.length >= this.#limit.waiting) return undefined;
      await new Promise<void>((start) => this.#waiting.push(start));
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
