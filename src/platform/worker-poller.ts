// Where Linux AIO is refused: a thread blocks in poll(2) and wakes this one by a message.
import { VpnError } from "../base/errors.ts";
import { addressOf, check, libc } from "./libc.ts";
import type { Poller, Watch } from "./poller.ts";
import { POLL_AREA, POLL_SLOTS, SLOT_STATE, type PollWorkerStart } from "./poll-area.ts";

const EFD_NONBLOCK_CLOEXEC = 0x80800;
/** Named at each use: an address that was kept alone would not keep what lies there, and 0 wakes nobody. */
const ONE = new BigUint64Array([1n]);

/** In the executable the thread's code has its place from the root of the sources, elsewhere beside this file. */
const WORKER = import.meta.url.includes("/$bunfs/")
  ? "./platform/poll-worker.ts"
  : new URL("./poll-worker.ts", import.meta.url).href;

export function openWorkerPoller(): Poller {
  return new WorkerPoller();
}

class WorkerPoller implements Poller {
  readonly #area = new Int32Array(new SharedArrayBuffer(POLL_AREA.words * 4));
  readonly #controlFd: number;
  readonly #worker: Worker;
  readonly #watches: (WorkerWatch | undefined)[] = [];
  #closed = false;

  constructor() {
    this.#controlFd = check(
      libc.eventfd(0, EFD_NONBLOCK_CLOEXEC),
      "eventfd",
      "make an event counter",
    );
    this.#worker = new Worker(WORKER);
    this.#worker.addEventListener("message", () => this.#fire());
    this.#worker.addEventListener("error", ({ message }) => {
      throw new VpnError(
        "poll_thread",
        `Cannot wait for descriptors: the thread ended: ${message}`,
      );
    });
    const start: PollWorkerStart = { area: this.#area, controlFd: this.#controlFd };
    this.#worker.postMessage(start);
    // Not before the thread has ended: it might poll whatever gets the number next.
    this.#worker.addEventListener("close", () => libc.close(this.#controlFd));
  }

  add(fd: number, onReadable: () => void): Watch {
    let slot = this.#watches.indexOf(undefined);
    if (slot < 0) slot = this.#watches.length;
    if (slot >= POLL_SLOTS) throw new Error(`Cannot watch descriptor ${fd}: ${slot} are watched`);
    const watch = new WorkerWatch(this.#area, slot, fd, onReadable, this.#wakeWorker, () => {
      this.#watches[slot] = undefined;
    });
    this.#watches[slot] = watch;
    return watch;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const watch of this.#watches) watch?.remove();
    Atomics.store(this.#area, POLL_AREA.closing, 1);
    this.#wakeWorker();
  }

  readonly #wakeWorker = (): void => {
    // It fails only if the counter is full, and then the thread is awake.
    libc.write(this.#controlFd, addressOf(ONE), 8);
  };

  #fire(): void {
    for (const watch of this.#watches) watch?.fireIfReady();
  }
}

class WorkerWatch implements Watch {
  readonly #area: Int32Array;
  readonly #state: number;
  readonly #onReadable: () => void;
  readonly #wakeWorker: () => void;
  readonly #forget: () => void;
  #removed = false;

  constructor(
    area: Int32Array,
    slot: number,
    fd: number,
    onReadable: () => void,
    wakeWorker: () => void,
    forget: () => void,
  ) {
    this.#area = area;
    this.#state = POLL_AREA.states + slot;
    this.#onReadable = onReadable;
    this.#wakeWorker = wakeWorker;
    this.#forget = forget;
    Atomics.store(area, POLL_AREA.fds + slot, fd);
  }

  arm(): void {
    if (this.#removed) return;
    const was = Atomics.compareExchange(this.#area, this.#state, SLOT_STATE.idle, SLOT_STATE.armed);
    if (was === SLOT_STATE.idle) this.#wakeWorker();
  }

  fireIfReady(): void {
    const was = Atomics.compareExchange(this.#area, this.#state, SLOT_STATE.ready, SLOT_STATE.idle);
    if (was === SLOT_STATE.ready) this.#onReadable();
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#forget();
    // The thread lets go of the file when it polls anew.
    const was = Atomics.exchange(this.#area, this.#state, SLOT_STATE.idle);
    if (was === SLOT_STATE.armed) this.#wakeWorker();
  }
}
