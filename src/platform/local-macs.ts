import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { type MacAddress, tryParseMac } from "../base/mac.ts";

const DEVICES = "/sys/class/net";
/** For how long an answer holds: interfaces come and go, and who asks does so for each frame of a kind. */
const FRESH_MS = 1000;

/** MAC addresses of this machine's interfaces, those without an IP address among them. */
export class LocalMacs {
  readonly #clock: Clock;
  readonly #directory: string;
  #macs: ReadonlySet<MacAddress> = new Set();
  #readAt = -Infinity;

  constructor(clock: Clock, directory = DEVICES) {
    this.#clock = clock;
    this.#directory = directory;
  }

  has(mac: MacAddress): boolean {
    const now = this.#clock.now();
    if (now - this.#readAt >= FRESH_MS) {
      this.#macs = readMacs(this.#directory);
      this.#readAt = now;
    }
    return this.#macs.has(mac);
  }
}

function readMacs(directory: string): Set<MacAddress> {
  const macs = new Set<MacAddress>();
  for (const device of tryList(directory)) {
    const mac = tryParseMac(tryRead(`${directory}/${device}/address`));
    // Loopback has none.
    if (mac !== undefined && mac !== 0) macs.add(mac);
  }
  return macs;
}

/** Nothing where the system shows no interfaces. */
function tryList(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Nothing of an interface that has gone meanwhile. */
function tryRead(path: string): string {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return "";
  }
}
