import type { Clock, Timer } from "../base/clock.ts";
import { watchFilterTable, watchNetwork } from "../platform/netlink-watch.ts";
import { openPoller, type Poller } from "../platform/poller.ts";
import { openRouterSocket } from "../platform/router-socket.ts";
import { tryParseRouterAdvertisement } from "../wire/router-advertisement.ts";
import type { RouterAdvertisement } from "../wire/router-advertisement.ts";

/** A program that takes away what we put back is answered no faster than this. */
const MIN_GAP_MS = 1_000;

/** What an account is told of the machine's network while it runs. */
export class HostWatch {
  readonly #clock: Clock;
  #poller: Poller | undefined;
  readonly #closers: (() => void)[] = [];
  readonly #timers = new Set<Timer>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Links, their IPv4 addresses or routing rules have changed. @throws SystemError */
  onNetwork(call: () => void): void {
    this.#add(watchNetwork(this.#open(), this.#limit(call)));
  }

  /** A table of the packet filter is gone. @throws SystemError */
  onFilterGone(table: string, call: () => void): void {
    this.#add(watchFilterTable(this.#open(), table, this.#limit(call)));
  }

  /** A router of the link advertises itself. @throws SystemError */
  onRouter(index: number, call: (advertisement: RouterAdvertisement) => void): void {
    const socket = openRouterSocket(index, this.#open(), (packet) => {
      const advertisement = tryParseRouterAdvertisement(packet);
      if (advertisement !== undefined) call(advertisement);
    });
    this.#add(socket);
  }

  /** May be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const close of this.#closers.splice(0)) close();
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#poller?.close();
  }

  #open(): Poller {
    return (this.#poller ??= openPoller());
  }

  #add(watch: { close(): void }): void {
    this.#closers.push(() => watch.close());
  }

  /** The first call at once, and one more after the gap where there were others in it. */
  #limit(call: () => void): () => void {
    let isResting = false;
    let isWanted = false;
    const run = () => {
      if (this.#isClosed) return;
      isWanted = isResting;
      if (isResting) return;
      isResting = true;
      const timer = this.#clock.after(MIN_GAP_MS, () => {
        this.#timers.delete(timer);
        isResting = false;
        if (isWanted) run();
      });
      this.#timers.add(timer);
      call();
    };
    return run;
  }
}
