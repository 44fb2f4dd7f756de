// Router advertisements as they arrive on an interface: packet(7), with a filter in the kernel so that nothing else of
// what comes in is copied.
import { ICMPV6, LINK_HOP_LIMIT, ROUTER_ADVERTISEMENT } from "../wire/router-advertisement.ts";
import { addressOf, check, libc } from "./libc.ts";
import type { Poller } from "./poller.ts";

const AF_PACKET = 17;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x80802;
const ETH_P_IPV6 = 0x86dd;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const SOCKADDR_LL_BYTES = 20;
/** The largest that a frame carries, with room. */
const RECEIVE_BYTES = 2048;
/** Packets of one wake-up: who floods the link with advertisements must not keep us here. */
const MAX_AT_ONCE = 64;

/* Classic BPF (<linux/bpf_common.h>): load a byte at a fixed place, jump if equal, return. */
const LOAD_BYTE = 0x30;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;

/** Instructions [code, true, false, value]: jumps are counted from the next one, and the last one drops. */
const INSTRUCTIONS = [
  [LOAD_BYTE, 0, 0, 6],
  [JUMP_EQUAL, 0, 5, ICMPV6],
  [LOAD_BYTE, 0, 0, 7],
  [JUMP_EQUAL, 0, 3, LINK_HOP_LIMIT],
  [LOAD_BYTE, 0, 0, 40],
  [JUMP_EQUAL, 0, 1, ROUTER_ADVERTISEMENT],
  [RETURN, 0, 0, RECEIVE_BYTES],
  [RETURN, 0, 0, 0],
] as const;
const INSTRUCTION_BYTES = 8;
/** Kept for ever: the kernel is told its address, which keeps nothing alive. */
const FILTER = encodeFilter();

export interface RouterSocket {
  /** May be called twice. */
  close(): void;
}

/**
 * Hands over the IPv6 packets of router advertisements on an interface; the bytes are good for the call only.
 * @throws SystemError, EPERM without CAP_NET_RAW
 */
export function openRouterSocket(
  index: number,
  poller: Poller,
  onPacket: (packet: Uint8Array) => void,
): RouterSocket {
  const detail = "listen for IPv6 routers";
  // Bound to no protocol nothing comes in, so the filter stands before the first packet.
  const fd = check(libc.socket(AF_PACKET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0), "socket", detail);
  const buffer = new Uint8Array(RECEIVE_BYTES);
  let isClosed = false;
  const watch = poller.add(fd, () => {
    for (let count = 0; count < MAX_AT_ONCE && !isClosed; count++) {
      const length = Number(libc.recv(fd, buffer, buffer.length, 0));
      if (length < 0) break;
      onPacket(buffer.subarray(0, length));
    }
    watch.arm();
  });
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    watch.remove();
    libc.close(fd);
  };
  try {
    attachFilter(fd, detail);
    // Kernels before 4.20 do not know it, and we send no advertisements.
    libc.setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, Int32Array.of(1), 4);
    const address = new Uint8Array(SOCKADDR_LL_BYTES);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, ETH_P_IPV6);
    view.setInt32(4, index, true);
    check(libc.bind(fd, address, address.length), "bind", detail);
    watch.arm();
  } catch (thrown) {
    close();
    throw thrown;
  }
  return { close };
}

/** struct sock_fprog: the number of instructions as u16, and their address. */
function attachFilter(fd: number, detail: string): void {
  const program = new Uint8Array(16);
  const view = new DataView(program.buffer);
  view.setUint16(0, INSTRUCTIONS.length, true);
  view.setBigUint64(8, BigInt(addressOf(FILTER)), true);
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, program.length);
  check(result, "setsockopt", detail);
}

/** struct sock_filter: u16, u8, u8, u32. */
function encodeFilter(): Uint8Array {
  const bytes = new Uint8Array(INSTRUCTIONS.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [at, [code, ifTrue, ifFalse, value]] of INSTRUCTIONS.entries()) {
    const start = at * INSTRUCTION_BYTES;
    view.setUint16(start, code, true);
    view.setUint8(start + 2, ifTrue);
    view.setUint8(start + 3, ifFalse);
    view.setUint32(start + 4, value, true);
  }
  return bytes;
}
