// Readiness of very many descriptors by one (epoll(7)): where each has its own poll of the shared poller, arming it
// is a system call per event. Here a socket is made known once, and one wake-up brings the news of all.
import { check, errno, libc } from "./libc.ts";
import { PACKET_BASE, PACKET_VIEW, reserve } from "./packet-memory.ts";
import type { Poller, Watch } from "./poller.ts";
import { sharedPoller } from "./shared-poller.ts";

/* <sys/epoll.h> */
export const EPOLLIN = 0x001;
/** Urgent data waits, before which reading stops for once (tcp(7)). */
export const EPOLLPRI = 0x002;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;
const EPOLLET = 0x8000_0000;
const EPOLL_CLOEXEC = 0x80000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EINTR = 4;

/** struct epoll_event: u32 events and u64 data, without a gap between them on x86-64 only. */
const DATA_AT = process.arch === "x64" ? 4 : 8;
const EVENT_BYTES = DATA_AT + 8;
/** Events that one turn takes: others of the process get their turn after these. */
const EVENTS_PER_TURN = 256;

// One table for all: no two wait at once, and a turn that is begun within another cannot be.
const eventsAt = reserve(EVENTS_PER_TURN * EVENT_BYTES);
const changeAt = reserve(EVENT_BYTES);

/** One descriptor that is watched. */
export interface EpollWatch {
  /**
   * Calls `onEvents` with these events in the next turn, whatever the system says. For handlers that stop before
   * EAGAIN, so that others get their share: the system tells of readiness once (edge-triggered).
   */
  again(events: number): void;
  /** Ends the watch; no call follows. Do so before closing the descriptor. May be called twice. */
  remove(): void;
}

/** A set of watched descriptors. It costs nothing while none of them has news. */
export class Epoll {
  /** Called after the handlers of each turn, once: the place to send what they have gathered. */
  afterTurn: () => void = () => undefined;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #watches = new Map<number, SocketWatch>();
  /** Watches that asked for another call, in the order they asked, and those of the turn that is going on. */
  #again: SocketWatch[] = [];
  #turn: SocketWatch[] = [];
  #nextId = 1;
  #immediate: NodeJS.Immediate | undefined;
  #isRunning = false;
  #isOpen = true;

  private constructor(fd: number, poller: Poller) {
    this.#fd = fd;
    this.#watch = poller.add(fd, () => this.#run());
  }

  /** @throws SystemError if there are no descriptors left */
  static open(poller: Poller = sharedPoller): Epoll {
    const detail = "wait for many sockets";
    const fd = check(libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1", detail);
    let epoll: Epoll | undefined;
    try {
      epoll = new Epoll(fd, poller);
      epoll.#watch.arm();
      return epoll;
    } catch (thrown) {
      if (epoll === undefined) libc.close(fd);
      else epoll.close();
      throw thrown;
    }
  }

  /** Descriptors that are watched. */
  get size(): number {
    return this.#watches.size;
  }

  /**
   * Calls `onEvents` when the descriptor becomes readable or writable, or when an error or the end of what its peer
   * sends comes, each time with what is so: a union of the constants above. A new one that is ready is told as such.
   * @param interest of who sends datagrams without EPOLLOUT: every one that has left the machine would be news
   * @throws SystemError for a descriptor that cannot be polled, or if the user has too many of them
   */
  add(
    fd: number,
    onEvents: (events: number) => void,
    interest: number = EPOLLIN | EPOLLOUT | EPOLLRDHUP,
  ): EpollWatch {
    const id = this.#freeId();
    PACKET_VIEW.setUint32(changeAt, (interest | EPOLLET) >>> 0, true);
    PACKET_VIEW.setUint32(changeAt + DATA_AT, id, true);
    PACKET_VIEW.setUint32(changeAt + DATA_AT + 4, 0, true);
    const result = libc.epoll_ctl(this.#fd, EPOLL_CTL_ADD, fd, PACKET_BASE + changeAt);
    check(result, "epoll_ctl", "wait for a socket");
    const watch = new SocketWatch(this.#owner, { id, fd }, onEvents);
    this.#watches.set(id, watch);
    return watch;
  }

  /** Ends all watches; the descriptors stay their owners'. May be called twice. */
  close(): void {
    if (!this.#isOpen) return;
    for (const watch of this.#watches.values()) watch.remove();
    this.#isOpen = false;
    this.#watch.remove();
    clearImmediate(this.#immediate);
    libc.close(this.#fd);
  }

  /** An id is not used again while it may stand in the table of events that is being gone through. */
  #freeId(): number {
    do {
      this.#nextId = this.#nextId === 0xffff_ffff ? 1 : this.#nextId + 1;
    } while (this.#watches.has(this.#nextId));
    return this.#nextId;
  }

  /** What watches ask for. They are many, so they share it. */
  readonly #owner: WatchOwner = {
    again: (watch) => {
      this.#again.push(watch);
      if (!this.#isRunning) this.#soon();
    },
    remove: (id, fd) => {
      this.#watches.delete(id);
      if (this.#isOpen) libc.epoll_ctl(this.#fd, EPOLL_CTL_DEL, fd, PACKET_BASE + changeAt);
    },
  };

  #soon(): void {
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      this.#run();
    });
  }

  #run(): void {
    if (!this.#isOpen || this.#isRunning) return;
    this.#isRunning = true;
    let hadNews = true;
    try {
      hadNews = this.#takeTurn();
    } finally {
      this.#isRunning = false;
      // More comes at once under load: looking again in the next turn is cheaper than being woken. A handler that
      // throws stops neither the others nor what comes after.
      if (this.#isOpen) {
        if (hadNews) this.#soon();
        else this.#watch.arm();
      }
    }
  }

  /** False if there was nothing to do. */
  #takeTurn(): boolean {
    const asked = this.#again;
    this.#again = this.#turn;
    this.#turn = asked;
    const count = this.#wait();
    if (count <= 0 && asked.length === 0) return false;
    for (let index = 0; index < count; index += 1) {
      const at = eventsAt + index * EVENT_BYTES;
      const events = PACKET_VIEW.getUint32(at, true);
      this.#watches.get(PACKET_VIEW.getUint32(at + DATA_AT, true))?.gather(events, asked);
    }
    let fired = 0;
    try {
      while (fired < asked.length) asked[fired++]!.fire();
    } finally {
      // Those behind one that threw.
      for (; fired < asked.length; fired += 1) this.#again.push(asked[fired]!);
      asked.length = 0;
      this.afterTurn();
    }
    return true;
  }

  #wait(): number {
    let count: number;
    do count = libc.epoll_wait(this.#fd, PACKET_BASE + eventsAt, EVENTS_PER_TURN, 0);
    while (count < 0 && errno() === EINTR);
    return count;
  }
}

interface WatchOwner {
  again(watch: SocketWatch): void;
  remove(id: number, fd: number): void;
}

class SocketWatch implements EpollWatch {
  readonly #owner: WatchOwner;
  readonly #id: number;
  readonly #fd: number;
  readonly #onEvents: (events: number) => void;
  /** What the next call tells; 0 if none is due. */
  #due = 0;
  #isRemoved = false;

  constructor(
    owner: WatchOwner,
    of: { readonly id: number; readonly fd: number },
    onEvents: (events: number) => void,
  ) {
    this.#owner = owner;
    this.#id = of.id;
    this.#fd = of.fd;
    this.#onEvents = onEvents;
  }

  again(events: number): void {
    if (this.#isRemoved) return;
    const isNew = this.#due === 0;
    this.#due |= events;
    if (isNew) this.#owner.again(this);
  }

  /** Notes news of the system for this turn. */
  gather(events: number, turn: SocketWatch[]): void {
    if (this.#due === 0) turn.push(this);
    this.#due |= events;
  }

  fire(): void {
    const events = this.#due;
    this.#due = 0;
    if (!this.#isRemoved && events !== 0) this.#onEvents(events);
  }

  remove(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#owner.remove(this.#id, this.#fd);
  }
}
