/** An inside host that is silent for so long is asked whether it lives, and given up after so many questions. */
export const IDLE_MS = 600_000;
const INTERVAL_MS = 30_000;
const PROBES = 5;

/** RFC 9293 3.8.4. */
export class Keepalive {
  /** By the clock; Infinity while nobody is to be asked. */
  deadline = Infinity;
  #heardAt = 0;
  #asked = 0;

  start(now: number): void {
    this.#heardAt = now;
    this.deadline = now + IDLE_MS;
  }

  stop(): void {
    this.deadline = Infinity;
  }

  heard(now: number): void {
    this.#heardAt = now;
    this.#asked = 0;
  }

  /** What is due: nothing, a question, or giving the peer up. */
  tick(now: number): "nothing" | "ask" | "give-up" {
    if (now < this.deadline) return "nothing";
    const quietSince = this.#heardAt + IDLE_MS;
    if (now < quietSince) {
      this.deadline = quietSince;
      return "nothing";
    }
    if (this.#asked >= PROBES) return "give-up";
    this.#asked += 1;
    this.deadline = now + INTERVAL_MS;
    return "ask";
  }
}
