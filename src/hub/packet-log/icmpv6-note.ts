// What a packet log says of ICMPv6 (RFC 4443, RFC 4861). Some words are spelt as readers of the reference's logs know them.
import { formatAddress } from "../../base/ip.ts";
import { macDigits } from "./mac-digits.ts";

const MAX_PREFIXES = 10;

interface Note {
  readonly subKind: string;
  readonly note: string;
}

/** `bytes` is the ICMPv6 message; undefined where it ends before it is complete. */
export function icmpv6Note(bytes: Uint8Array): Note | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = bytes[0]!;
  switch (type) {
    case 128:
    case 129:
      if (bytes.length < 8) return undefined;
      return {
        subKind: type === 128 ? "Echo Request" : "Echo Reply",
        note: `EchoDataSize=${bytes.length - 8}`,
      };
    case 133:
      if (bytes.length < 8) return undefined;
      return { subKind: "Router Soliciation", note: joined([], bytes.subarray(8)) };
    case 134: {
      if (bytes.length < 16) return undefined;
      const own = [
        `CurHopLimit=${bytes[4]}`,
        `Flags=${hexOctet(bytes[5]!)}`,
        `Lifetime=${view.getUint16(6)}`,
      ];
      return { subKind: "Router Advertisement", note: joined(own, bytes.subarray(16)) };
    }
    case 135:
    case 136: {
      if (bytes.length < 24) return undefined;
      const own = [`TargetAddress=${formatAddress(bytes.subarray(8, 24))}`];
      if (type === 136) own.push(`Flags=${hexOctet(bytes[4]!)}`);
      return {
        subKind: type === 135 ? "Neighbor Soliciation" : "Neighbor Advertisement",
        note: joined(own, bytes.subarray(24)),
      };
    }
    default:
      return { subKind: `Type=${type}`, note: "" };
  }
}

/** The message's own fields and what its options tell, in the order of the reference, not of the message. */
function joined(own: readonly string[], options: Uint8Array): string {
  let source = "";
  let target = "";
  let mtu = "";
  const prefixes: string[] = [];
  const view = new DataView(options.buffer, options.byteOffset, options.length);
  for (let at = 0; at + 2 <= options.length;) {
    const bytes = options[at + 1]! * 8;
    if (bytes === 0 || at + bytes > options.length) break;
    const type = options[at];
    if (type === 1) source = `SourceLinkLayer=${macDigits(options, at + 2)}`;
    if (type === 2) target = `TargetLinkLayer=${macDigits(options, at + 2)}`;
    if (type === 3 && bytes >= 32 && prefixes.length < MAX_PREFIXES) {
      const prefix = formatAddress(options.subarray(at + 16, at + 32));
      prefixes.push(`Prefix=${prefix}/${options[at + 2]} PrefixFlag=${hexOctet(options[at + 3]!)}`);
    }
    if (type === 5) mtu = `Mtu=${view.getUint32(at + 4)}`;
    at += bytes;
  }
  return [...own, source, target, ...prefixes, mtu].filter(Boolean).join(" ");
}

function hexOctet(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(2, "0")}`;
}
