// A descriptor that gives and takes Ethernet frames: a TAP or a packet socket.
import { errno, libc } from "./libc.ts";
import { PACKET_BASE } from "./packet-memory.ts";

/** Calls do not block. Places are offsets in packet memory; a negative answer is an errno with its sign turned. */
export interface FrameDevice {
  readonly name: string;
  readonly fd: number;
  /** A virtio-net header of 10 bytes stands before each frame, both ways. */
  readonly hasVnetHeader: boolean;
  /**
   * Reads one frame, to `at` or to where `frameAt` tells: its bytes, header included; -EAGAIN when there is none. What
   * is over `bytes` is lost; 0 stands for a frame that was lost for it.
   */
  read(at: number, bytes: number): number;
  /** Where the frame of the last read lies, until the next. */
  readonly frameAt: number;
  /** Further frames came with the last read. They must be read before another device is: the memory is shared. */
  readonly hasMore: boolean;
  /** Frames that the kernel had no room for since this was asked last, as far as it tells. */
  takeDropped(): number;
  /** Writes the frame at `at`. */
  write(at: number, bytes: number): number;
  /** Writes frames, those from `from` up to `to` of a list: how many it took, at least one, or the errno of the first. */
  writev(frames: VectorList, from: number, to: number): number;
  /** Closes the descriptor. May be called twice. */
  close(): void;
}

/** Frames in parts: each is an array of struct iovec. */
export interface VectorList {
  /** Offset of the array. */
  at(index: number): number;
  /** Parts of the frame. */
  count(index: number): number;
}

/** Errors of frame devices that are handled each in its own way. */
export const DEVICE_ERROR = {
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EAGAIN: 11,
  ENOMEM: 12,
  EMSGSIZE: 90,
  ENETDOWN: 100,
  ENOBUFS: 105,
} as const;

/** A frame device on a descriptor that it owns from now on. */
export class DescriptorDevice implements FrameDevice {
  readonly name: string;
  readonly fd: number;
  readonly hasVnetHeader: boolean;
  frameAt = 0;
  #isOpen = true;

  constructor(name: string, fd: number, hasVnetHeader: boolean) {
    this.name = name;
    this.fd = fd;
    this.hasVnetHeader = hasVnetHeader;
  }

  get hasMore(): boolean {
    return false;
  }

  read(at: number, bytes: number): number {
    this.frameAt = at;
    const result = Number(libc.read(this.fd, PACKET_BASE + at, bytes));
    return result < 0 ? -errno() : result;
  }

  write(at: number, bytes: number): number {
    const result = Number(libc.write(this.fd, PACKET_BASE + at, bytes));
    return result < 0 ? -errno() : result;
  }

  writev(frames: VectorList, from: number, _to: number): number {
    const at = PACKET_BASE + frames.at(from);
    return Number(libc.writev(this.fd, at, frames.count(from))) < 0 ? -errno() : 1;
  }

  takeDropped(): number {
    return 0;
  }

  close(): void {
    if (this.#isOpen) libc.close(this.fd);
    this.#isOpen = false;
  }
}
