import { tryParseMac, writeMac } from "../../src/base/mac.ts";

export interface DhcpFrame {
  readonly from: string;
  readonly to: string;
  /** The station that the message is about. */
  readonly client: string;
  readonly isReply?: boolean;
  /** In the place of both ports. */
  readonly port?: number;
}

/** An Ethernet frame with as much of a DHCP message as filters look at. */
export function dhcpFrame({ from, to, client, isReply = false, port }: DhcpFrame): Uint8Array {
  const frame = new Uint8Array(14 + 20 + 8 + 240);
  const view = new DataView(frame.buffer);
  for (const [at, mac] of [
    [0, to],
    [6, from],
    [14 + 20 + 8 + 28, client],
  ] as const)
    writeMac(frame, at, tryParseMac(mac)!);
  view.setUint16(12, 0x0800);
  frame[14] = 0x45;
  view.setUint16(16, frame.length - 14);
  frame.set([64, 17], 22);
  view.setUint16(34, port ?? (isReply ? 67 : 68));
  view.setUint16(36, port ?? (isReply ? 68 : 67));
  view.setUint16(38, frame.length - 34);
  frame.set([isReply ? 2 : 1, 1, 6], 42);
  return frame;
}
