// The thread of a worker poller: blocks in poll(2) over the armed descriptors and the control descriptor.
import { addressOf, errno, libc } from "./libc.ts";
import { POLL_AREA, POLL_SLOTS, SLOT_STATE, type PollWorkerStart } from "./poll-area.ts";

declare const self: Worker;

/** Takes the value of the control descriptor; in module scope, since it is read into by address. */
const counter = new BigUint64Array(1);

const POLLIN = 1;
const EINTR = 4;
/** struct pollfd: i32 fd, i16 events, i16 revents. */
const POLLFD_BYTES = 8;

self.addEventListener("message", ({ data }: MessageEvent<PollWorkerStart>) => {
  pollUntilClosed(data.area, data.controlFd);
  // Ends this thread only.
  process.exit(0);
});

function pollUntilClosed(area: Int32Array, controlFd: number): void {
  const table = new Uint8Array((POLL_SLOTS + 1) * POLLFD_BYTES);
  const view = new DataView(table.buffer);
  const polledSlots = new Int32Array(POLL_SLOTS + 1);
  const put = (count: number, fd: number, slot: number) => {
    view.setInt32(count * POLLFD_BYTES, fd, true);
    view.setInt16(count * POLLFD_BYTES + 4, POLLIN, true);
    polledSlots[count] = slot;
    return count + 1;
  };
  while (Atomics.load(area, POLL_AREA.closing) === 0) {
    let count = put(0, controlFd, -1);
    for (let slot = 0; slot < POLL_SLOTS; slot += 1) {
      if (Atomics.load(area, POLL_AREA.states + slot) !== SLOT_STATE.armed) continue;
      count = put(count, Atomics.load(area, POLL_AREA.fds + slot), slot);
    }
    if (libc.poll(table, count, -1) < 0 && errno() !== EINTR) return;
    if (view.getInt16(6, true) !== 0) libc.read(controlFd, addressOf(counter), 8);
    let ready = 0;
    for (let n = 1; n < count; n += 1) {
      // An error is something to read, too: the reader learns of it.
      if (view.getInt16(n * POLLFD_BYTES + 6, true) === 0) continue;
      const state = POLL_AREA.states + polledSlots[n]!;
      const was = Atomics.compareExchange(area, state, SLOT_STATE.armed, SLOT_STATE.ready);
      if (was === SLOT_STATE.armed) ready += 1;
    }
    // One message for all: the other thread looks for itself which they are.
    if (ready > 0) self.postMessage(ready);
  }
}
