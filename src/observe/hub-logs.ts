import type { LogEntry, LogFormat } from "./log.ts";
import {
  formatPacket,
  type PacketRecord,
  type PacketSink,
  type ServiceName,
} from "./packet-record.ts";
import type { LogFile } from "./log-file.ts";
import type { Syslog } from "./syslog.ts";

/** What is common to the logs of all hubs, as it is now. */
export interface HubLogContext {
  readonly serviceName: ServiceName;
  format(): LogFormat;
  /** The receiver, if it is sent packet logs, too. */
  packetSyslog(): Syslog | undefined;
}

/** The two logs of one hub: of what happened, and of frames. */
export class HubLogs implements PacketSink {
  readonly name: string;
  security: LogFile | undefined;
  packets: LogFile | undefined;
  framesLost = 0;
  readonly #context: HubLogContext;

  constructor(name: string, context: HubLogContext) {
    this.name = name;
    this.#context = context;
  }

  get isOpen(): boolean {
    return this.packets !== undefined || this.#context.packetSyslog() !== undefined;
  }

  note(entry: LogEntry, line: string): void {
    this.security?.put(line, entry.wall);
  }

  put(record: PacketRecord): void {
    const { serviceName } = this.#context;
    const syslog = this.#context.packetSyslog();
    // A line about a message to the receiver would be the next message (hub.md 10).
    if (syslog !== undefined && isTo(syslog, record)) return;
    const line = formatPacket(record, this.name, this.#context.format(), serviceName);
    this.packets?.put(line, record.wall);
    syslog?.send({
      wall: record.wall,
      level: "info",
      event: "packet",
      text: line,
      fields: { hub: this.name },
    });
  }

  lose(count: number): void {
    this.framesLost += count;
  }
}

function isTo({ target, address }: Syslog, { transport, toIp, toPort }: PacketRecord): boolean {
  return transport === target.protocol && toPort === target.port && toIp === address;
}
