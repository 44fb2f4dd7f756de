// A descriptor that gives and takes one Ethernet frame a call: a TAP, later a packet socket.
import { errno, libc } from "./libc.ts";
import { PACKET_BASE } from "./packet-memory.ts";

/** Calls do not block. Places are offsets in packet memory; a negative answer is an errno with its sign turned. */
export interface FrameDevice {
  readonly name: string;
  readonly fd: number;
  /** A virtio-net header of 10 bytes stands before each frame, both ways. */
  readonly hasVnetHeader: boolean;
  /** Reads one frame to `at`: its bytes, header included; -EAGAIN when there is none. What is over `bytes` is lost. */
  read(at: number, bytes: number): number;
  /** Writes the frame at `at`. */
  write(at: number, bytes: number): number;
  /** Writes one frame from the `count` parts of the array of struct iovec at `at`. */
  writev(at: number, count: number): number;
  /** Closes the descriptor. May be called twice. */
  close(): void;
}

/** Errors of frame devices that are handled each in its own way. */
export const DEVICE_ERROR = {
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  ENOMEM: 12,
  ENOBUFS: 105,
} as const;

/** A frame device on a descriptor that it owns from now on. */
export class DescriptorDevice implements FrameDevice {
  readonly name: string;
  readonly fd: number;
  readonly hasVnetHeader: boolean;
  #isOpen = true;

  constructor(name: string, fd: number, hasVnetHeader: boolean) {
    this.name = name;
    this.fd = fd;
    this.hasVnetHeader = hasVnetHeader;
  }

  read(at: number, bytes: number): number {
    const result = Number(libc.read(this.fd, PACKET_BASE + at, bytes));
    return result < 0 ? -errno() : result;
  }

  write(at: number, bytes: number): number {
    const result = Number(libc.write(this.fd, PACKET_BASE + at, bytes));
    return result < 0 ? -errno() : result;
  }

  writev(at: number, count: number): number {
    const result = Number(libc.writev(this.fd, PACKET_BASE + at, count));
    return result < 0 ? -errno() : result;
  }

  close(): void {
    if (this.#isOpen) libc.close(this.fd);
    this.#isOpen = false;
  }
}
