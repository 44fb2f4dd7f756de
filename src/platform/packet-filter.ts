// Filters of packet sockets: classic BPF, which the kernel runs before it queues a frame (socket(7), SO_ATTACH_FILTER).
import type { MacAddress } from "../base/mac.ts";
import { addressOf, check, libc } from "./libc.ts";

/* <linux/bpf_common.h>, <linux/filter.h>, <asm-generic/socket.h> */
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const LOAD_WORD_AT_X = 0x40;
const LOAD_HALF_AT_X = 0x48;
const LOAD_LENGTH = 0x80;
/** X becomes four times the low half of the byte: the length of an IPv4 header. */
const LOAD_X_HEADER = 0xb1;
const SUBTRACT_X = 0x1c;
const IF_EQUAL = 0x15;
const IF_AT_LEAST = 0x35;
const IF_ANY_BIT = 0x45;
const RETURN = 0x06;
/** Where the kernel tells of the packet instead of its bytes: its type. */
const PACKET_TYPE = 0xfffff004;
const PACKET_OUTGOING = 4;
const WHOLE_PACKET = 0x7fffffff;
const INSTRUCTION_BYTES = 8;

/* Ethernet, IPv4, UDP and BOOTP (RFC 951), from the first byte of the frame; those at X are behind an IPv4 header. */
const ETHERNET_BYTES = 14;
const DESTINATION = 0;
const SOURCE = 6;
const ETHERTYPE = 12;
const IPV4_FRAGMENT = ETHERNET_BYTES + 6;
const IPV4_PROTOCOL = ETHERNET_BYTES + 9;
const IPV4_BYTES = 20;
const SOURCE_PORT = ETHERNET_BYTES;
const TARGET_PORT = ETHERNET_BYTES + 2;
const CLIENT_MAC = ETHERNET_BYTES + 8 + 28;
const ETHERTYPE_IPV4 = 0x0800;
const PROTOCOL_UDP = 17;
const FRAGMENT_OFFSET = 0x1fff;
const DHCP_SERVER = 67;
const DHCP_CLIENT = 68;

/** What a socket is not to be given. */
export interface Refused {
  /** Frames that this machine sends, for kernels that cannot leave them out by themselves. */
  readonly outgoing: boolean;
  /** DHCP messages that this station sends, gets or asks for. */
  readonly dhcpOf: MacAddress | undefined;
}

type Label = "accept" | "refuse" | "dhcp" | "next";
/** An instruction, and for jumps where they lead. */
interface Instruction {
  readonly code: number;
  readonly operand: number;
  readonly yes?: Label;
  readonly no?: Label;
  readonly label?: Label;
}

/** Puts the filter in the place of the one before, without a gap. @throws SystemError */
export function setPacketFilter(fd: number, refused: Refused): void {
  const program = assemble(instructionsFor(refused));
  // struct sock_fprog: u16 count, padding to 8, address of the instructions, which the kernel copies.
  const fprog = new DataView(new ArrayBuffer(16));
  fprog.setUint16(0, program.length / INSTRUCTION_BYTES, true);
  fprog.setBigUint64(8, BigInt(addressOf(program)), true);
  const bytes = new Uint8Array(fprog.buffer);
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, bytes, bytes.length);
  // Named once more, so that the instructions live for as long as the kernel reads them.
  check(result, "SO_ATTACH_FILTER", `filter frames by ${program.length} bytes of instructions`);
}

function instructionsFor({ outgoing, dhcpOf }: Refused): Instruction[] {
  return [
    ...(outgoing
      ? [
          { code: LOAD_WORD, operand: PACKET_TYPE },
          { code: IF_EQUAL, operand: PACKET_OUTGOING, yes: "refuse" as const },
        ]
      : []),
    ...(dhcpOf === undefined ? [] : dhcpOfStation(dhcpOf)),
    { code: RETURN, operand: WHOLE_PACKET, label: "accept" },
    { code: RETURN, operand: 0, label: "refuse" },
  ];
}

/** A load beyond the end of the frame would refuse it: the length is asked first. */
function dhcpOfStation(mac: MacAddress): Instruction[] {
  const high = Math.floor(mac / 0x10000);
  const low = mac % 0x10000;
  const isStation = (loadWord: number, loadHalf: number, at: number): Instruction[] => [
    { code: loadWord, operand: at },
    { code: IF_EQUAL, operand: high, no: "next" },
    { code: loadHalf, operand: at + 4 },
    { code: IF_EQUAL, operand: low, yes: "refuse" },
  ];
  return [
    { code: LOAD_LENGTH, operand: 0 },
    { code: IF_AT_LEAST, operand: ETHERNET_BYTES + IPV4_BYTES, no: "accept" },
    { code: LOAD_HALF, operand: ETHERTYPE },
    { code: IF_EQUAL, operand: ETHERTYPE_IPV4, no: "accept" },
    { code: LOAD_BYTE, operand: IPV4_PROTOCOL },
    { code: IF_EQUAL, operand: PROTOCOL_UDP, no: "accept" },
    { code: LOAD_HALF, operand: IPV4_FRAGMENT },
    { code: IF_ANY_BIT, operand: FRAGMENT_OFFSET, yes: "accept" },
    { code: LOAD_X_HEADER, operand: ETHERNET_BYTES },
    { code: LOAD_LENGTH, operand: 0 },
    { code: SUBTRACT_X, operand: 0 },
    { code: IF_AT_LEAST, operand: CLIENT_MAC + 6, no: "accept" },
    { code: LOAD_HALF_AT_X, operand: SOURCE_PORT },
    { code: IF_EQUAL, operand: DHCP_SERVER, yes: "dhcp" },
    { code: IF_EQUAL, operand: DHCP_CLIENT, yes: "dhcp" },
    { code: LOAD_HALF_AT_X, operand: TARGET_PORT },
    { code: IF_EQUAL, operand: DHCP_SERVER, yes: "dhcp" },
    { code: IF_EQUAL, operand: DHCP_CLIENT, no: "accept" },
    ...labelled("dhcp", isStation(LOAD_WORD, LOAD_HALF, DESTINATION)),
    ...labelled("next", isStation(LOAD_WORD, LOAD_HALF, SOURCE)),
    ...labelled("next", isStation(LOAD_WORD_AT_X, LOAD_HALF_AT_X, CLIENT_MAC)),
  ];
}

function labelled(label: Label, [first, ...rest]: Instruction[]): Instruction[] {
  return first === undefined ? [] : [{ ...first, label }, ...rest];
}

/** struct sock_filter: u16 code, u8 and u8 instructions to skip if true and if false, u32 operand. */
function assemble(program: readonly Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(program.length * INSTRUCTION_BYTES));
  for (const [index, { code, operand, yes, no }] of program.entries()) {
    const skip = (label: Label | undefined) =>
      label === undefined ? 0 : target(program, index, label) - index - 1;
    view.setUint16(index * INSTRUCTION_BYTES, code, true);
    view.setUint8(index * INSTRUCTION_BYTES + 2, skip(yes));
    view.setUint8(index * INSTRUCTION_BYTES + 3, skip(no));
    view.setUint32(index * INSTRUCTION_BYTES + 4, operand, true);
  }
  return new Uint8Array(view.buffer);
}

/** The nearest instruction of that label behind this one; "next" ends with the last comparison, at "accept". */
function target(program: readonly Instruction[], from: number, label: Label): number {
  const wanted = label === "next" ? ["next", "accept"] : [label];
  return program.findIndex(
    (instruction, index) => index > from && wanted.includes(instruction.label ?? ""),
  );
}
