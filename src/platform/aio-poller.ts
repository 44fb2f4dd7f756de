// Readiness of any descriptor without a thread: Linux AIO polls it (IOCB_CMD_POLL, io_submit(2)) and counts the
// completion in an eventfd, which the runtime waits for as for any file (dataplane.md 3).
import { SystemError } from "../base/errors.ts";
import { addressOf, check, errno, libc } from "./libc.ts";
import type { Poller, Watch } from "./poller.ts";

/** System call numbers differ between architectures; the C library has no functions for these. */
const CALL =
  process.arch === "arm64"
    ? { setup: 0, destroy: 1, submit: 2, cancel: 3, getEvents: 4 }
    : { setup: 206, destroy: 207, getEvents: 208, submit: 209, cancel: 210 };

const EFD_NONBLOCK_CLOEXEC = 0x80800;

/* struct iocb and struct io_event of <linux/aio_abi.h>. */
const IOCB_BYTES = 64;
const IOCB_DATA = 0;
const IOCB_OPCODE = 16;
const IOCB_FD = 20;
const IOCB_BUF = 24;
const IOCB_FLAGS = 56;
const IOCB_RESFD = 60;
const IOCB_CMD_POLL = 5;
const IOCB_FLAG_RESFD = 1;
const POLLIN = 1;
const EVENT_BYTES = 32;

/** Watches per kernel context. Contexts of all processes share fs.aio-max-nr (65,536), so ours start small. */
const WATCHES_PER_CONTEXT = 64;

/**
 * Opens a poller on Linux AIO, or answers why that is not possible here: not built in, forbidden by a container's
 * rules, a kernel before 4.18, or the system's bound on contexts.
 */
export function tryOpenAioPoller(): Poller | SystemError {
  let poller: AioPoller | undefined;
  try {
    poller = new AioPoller();
    poller.probe();
    poller.start();
    return poller;
  } catch (thrown) {
    poller?.close();
    if (thrown instanceof SystemError) return thrown;
    throw thrown;
  }
}

/** The part of a stream's reader that is used here. */
interface EventReader {
  read(): Promise<{ done: boolean }>;
  cancel(): Promise<void>;
}

/** Pollers that are open: the runtime's wait for the eventfd does not keep them from being collected. */
const openPollers = new Set<AioPoller>();

class AioPoller implements Poller {
  readonly #eventFd: number;
  readonly #contexts: AioContext[] = [];
  readonly #watches = new Map<number, AioWatch>();
  #reader: EventReader | undefined;
  #nextId = 1;
  #closed = false;

  constructor() {
    this.#eventFd = check(
      libc.eventfd(0, EFD_NONBLOCK_CLOEXEC),
      "eventfd",
      "make an event counter",
    );
    try {
      this.#contexts.push(new AioContext(this.#eventFd));
    } catch (thrown) {
      libc.close(this.#eventFd);
      throw thrown;
    }
  }

  /** Polls a descriptor that is readable already. @throws SystemError if the kernel takes no polls */
  probe(): void {
    const fd = check(libc.eventfd(1, EFD_NONBLOCK_CLOEXEC), "eventfd", "make an event counter");
    try {
      const watch = this.add(fd, () => {});
      watch.arm();
      watch.remove();
    } finally {
      libc.close(fd);
    }
  }

  start(): void {
    openPollers.add(this);
    // The stream has a duplicate of the descriptor, which cancelling closes.
    this.#reader = Bun.file(this.#eventFd).stream().getReader();
    void this.#loop(this.#reader);
  }

  add(fd: number, onReadable: () => void): Watch {
    let context = this.#contexts.find((each) => each.hasRoom);
    if (context === undefined) {
      context = new AioContext(this.#eventFd);
      this.#contexts.push(context);
    }
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    const watch = new AioWatch(context, fd, id, onReadable, () => this.#watches.delete(id));
    this.#watches.set(id, watch);
    return watch;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    openPollers.delete(this);
    for (const watch of this.#watches.values()) watch.remove();
    for (const context of this.#contexts) context.close();
    // It fails only if the stream has ended already, which is what was wanted.
    this.#reader?.cancel().catch(() => undefined);
    libc.close(this.#eventFd);
  }

  async #loop(reader: EventReader): Promise<void> {
    for (;;) {
      const { done } = await reader.read();
      if (done || this.#closed) return;
      for (const context of this.#contexts) {
        context.takeEvents((id) => this.#watches.get(id)?.fire());
        if (this.#closed) return;
      }
    }
  }
}

class AioWatch implements Watch {
  readonly #context: AioContext;
  readonly #index: number;
  readonly #onReadable: () => void;
  readonly #forget: () => void;
  #armed = false;
  #removed = false;

  constructor(
    context: AioContext,
    fd: number,
    id: number,
    onReadable: () => void,
    forget: () => void,
  ) {
    this.#context = context;
    this.#index = context.prepare(fd, id);
    this.#onReadable = onReadable;
    this.#forget = forget;
  }

  arm(): void {
    if (this.#armed || this.#removed) return;
    this.#context.submit(this.#index);
    this.#armed = true;
  }

  fire(): void {
    this.#armed = false;
    this.#onReadable();
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#forget();
    this.#context.release(this.#index, this.#armed);
  }
}

/** A kernel context with the control blocks of its watches. */
class AioContext {
  readonly #eventFd: number;
  readonly #context: number;
  // The kernel reads and writes these by address: they live as long as the context does.
  readonly #blocks = new Uint8Array(WATCHES_PER_CONTEXT * IOCB_BYTES);
  readonly #blocksView = new DataView(this.#blocks.buffer);
  readonly #blocksAt = addressOf(this.#blocks);
  readonly #pointers = new BigUint64Array(WATCHES_PER_CONTEXT);
  readonly #pointersAt = addressOf(this.#pointers);
  readonly #events = new Uint8Array((WATCHES_PER_CONTEXT + 1) * EVENT_BYTES);
  readonly #eventsView = new DataView(this.#events.buffer);
  readonly #eventsAt = addressOf(this.#events);
  /** One event's room and a timeout of zero, for `io_cancel` and `io_getevents`. */
  readonly #scratchAt = this.#eventsAt + WATCHES_PER_CONTEXT * EVENT_BYTES;
  readonly #noTime = new BigUint64Array(2);
  readonly #noTimeAt = addressOf(this.#noTime);
  readonly #free: number[] = [];

  constructor(eventFd: number) {
    this.#eventFd = eventFd;
    const handle = new BigUint64Array(1);
    check(
      libc.syscall(CALL.setup, WATCHES_PER_CONTEXT, addressOf(handle), 0, 0, 0, 0),
      "io_setup",
      "wait for descriptors by asynchronous I/O",
    );
    this.#context = Number(handle[0]);
    for (let index = WATCHES_PER_CONTEXT - 1; index >= 0; index -= 1) this.#free.push(index);
  }

  get hasRoom(): boolean {
    return this.#free.length > 0;
  }

  /** Fills a control block in and gives its index. */
  prepare(fd: number, id: number): number {
    const index = this.#free.pop()!;
    const at = index * IOCB_BYTES;
    const view = this.#blocksView;
    this.#blocks.fill(0, at, at + IOCB_BYTES);
    view.setUint32(at + IOCB_DATA, id, true);
    view.setUint16(at + IOCB_OPCODE, IOCB_CMD_POLL, true);
    view.setUint32(at + IOCB_FD, fd, true);
    view.setUint16(at + IOCB_BUF, POLLIN, true);
    view.setUint32(at + IOCB_FLAGS, IOCB_FLAG_RESFD, true);
    view.setUint32(at + IOCB_RESFD, this.#eventFd, true);
    this.#pointers[index] = BigInt(this.#blocksAt + at);
    return index;
  }

  submit(index: number): void {
    const pointerAt = this.#pointersAt + index * 8;
    const taken = libc.syscall(CALL.submit, this.#context, 1, pointerAt, 0, 0, 0);
    if (taken !== 1) throw new SystemError("io_submit", errno(), "wait for a descriptor");
  }

  release(index: number, armed: boolean): void {
    // A refusal means that the poll has completed; its event finds no watch by its id and is ignored.
    if (armed) {
      const blockAt = this.#blocksAt + index * IOCB_BYTES;
      libc.syscall(CALL.cancel, this.#context, blockAt, this.#scratchAt, 0, 0, 0);
    }
    this.#free.push(index);
  }

  takeEvents(fire: (id: number) => void): void {
    const most = WATCHES_PER_CONTEXT;
    for (;;) {
      const count = Number(
        libc.syscall(CALL.getEvents, this.#context, 0, most, this.#eventsAt, this.#noTimeAt, 0),
      );
      for (let n = 0; n < count; n += 1) fire(this.#eventsView.getUint32(n * EVENT_BYTES, true));
      if (count < most) return;
    }
  }

  close(): void {
    libc.syscall(CALL.destroy, this.#context, 0, 0, 0, 0, 0);
  }
}
