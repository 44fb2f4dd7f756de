// What TCP flows ask of the TCP towards guests.
import type { MacAddress } from "../base/mac.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import type { FlowEnds } from "./flow.ts";
import type { ChunkSource, TcpControl, TcpIo } from "./tcp/tcp-io.ts";

/** The guest's end of a flow (tcp/tcp-connection.ts). */
export interface TcpMachine extends TcpControl {
  receive(packet: PacketView): void;
}

/** The guests' ends of all flows (tcp/tcp-stack.ts). */
export interface TcpMachines {
  readonly chunks: ChunkSource;
  /** A connection in state "connecting"; its first segment follows by `receive`. */
  connect(ends: FlowEnds, innerMac: MacAddress, io: TcpIo): TcpMachine;
  /** The event is over: sends what connections have to send. */
  flush(): void;
}
