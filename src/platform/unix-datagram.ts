import { check, libc } from "./libc.ts";

/* <sys/socket.h>, <bits/socket_type.h> */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const MSG_NOSIGNAL = 0x4000;
/** sockaddr_un of Linux: two octets of family, 108 of path. */
const MAX_PATH_BYTES = 107;

/** A local socket that sends datagrams to one address: to a service manager, or to the system's log. */
export class UnixDatagram {
  readonly #address: Uint8Array;
  #fd: number | undefined;

  /** `path` begins with `/`, or with `@` for a name that is not in the file system (unix(7)). @throws SystemError */
  constructor(path: string) {
    this.#address = socketAddress(path);
    const type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    this.#fd = check(libc.socket(AF_UNIX, type, 0), "socket", "open a local socket");
  }

  /** False where nobody takes it: the receiver is gone, or its queue is full. */
  trySend(text: string): boolean {
    if (this.#fd === undefined) return false;
    const bytes = new TextEncoder().encode(text);
    const { length } = this.#address;
    const sent = libc.sendto(this.#fd, bytes, bytes.length, MSG_NOSIGNAL, this.#address, length);
    return Number(sent) === bytes.length;
  }

  /** May be called twice. */
  close(): void {
    if (this.#fd !== undefined) libc.close(this.#fd);
    this.#fd = undefined;
  }
}

/** True for a path that `UnixDatagram` takes. */
export function isDatagramPath(path: string): boolean {
  return /^[/@]./.test(path) && Buffer.byteLength(path) <= MAX_PATH_BYTES;
}

function socketAddress(path: string): Uint8Array {
  if (!isDatagramPath(path)) throw new RangeError(`Cannot send to the local socket "${path}"`);
  const name = new TextEncoder().encode(path);
  const isAbstract = path.startsWith("@");
  // An abstract name begins with a zero octet and ends with the address; a path ends with a zero octet.
  const address = new Uint8Array(2 + name.length + (isAbstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  if (isAbstract) address[2] = 0;
  return address;
}
