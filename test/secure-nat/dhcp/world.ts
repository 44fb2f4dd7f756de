import { formatIpv4, type Ipv4, tryParseIpv4 } from "../../../src/base/ip.ts";
import type { MacAddress } from "../../../src/base/mac.ts";
import type { StoredLease } from "../../../src/config/lease-store.ts";
import type { DhcpConfig } from "../../../src/config/secure-nat-config.ts";
import { logInto, type LogEntry } from "../../../src/observe/log.ts";
import type { DhcpReply, DhcpServerConfig } from "../../../src/secure-nat/dhcp/dhcp-reply.ts";
import { DhcpServer } from "../../../src/secure-nat/dhcp/dhcp-server.ts";
import type { LeaseBook } from "../../../src/secure-nat/dhcp/lease-keeper.ts";
import { DHCP_OPTION, encodeAddresses } from "../../../src/wire/dhcp-option.ts";
import { DHCP_TYPE, type DhcpMessage, encodeDhcp, tryParseDhcp } from "../../../src/wire/dhcp.ts";
import { typeName } from "../../support/dhcp-server.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { secureNatConfig } from "../config.ts";

export const ip = (text: string): Ipv4 => tryParseIpv4(text)!;
export const SERVER = ip("192.168.30.1");
const ANY = 0 as Ipv4;

/** The MAC of client number `n`. */
export const mac = (n: number): MacAddress => (0x5e00_0000_0000 + n) as MacAddress;

export interface Asked {
  readonly type: keyof typeof DHCP_TYPE;
  readonly client?: number;
  /** Option 50. */
  readonly wants?: string;
  readonly ciaddr?: string;
  /** Of the IP header; that of `ciaddr` unless told. */
  readonly source?: string;
  readonly port?: number;
  /** Option 54. */
  readonly server?: string;
  readonly options?: readonly (readonly [number, Uint8Array])[];
  readonly change?: Partial<DhcpMessage>;
}

/** A book in memory that counts how often it is written. */
export class MemoryBook implements LeaseBook {
  readonly rows = new Map<Ipv4, StoredLease>();
  writes = 0;
  isBroken = false;

  read(): readonly StoredLease[] {
    return [...this.rows.values()];
  }

  write(leases: readonly StoredLease[], removed: readonly Ipv4[]): void {
    if (this.isBroken) throw new Error("disk full");
    this.writes += 1;
    for (const address of removed) this.rows.delete(address);
    for (const lease of leases) this.rows.set(lease.address, lease);
  }
}

/** What the server said, in words. */
export interface Said {
  readonly type: string;
  readonly address: string;
  readonly message: DhcpMessage;
  readonly reply: DhcpReply;
}

interface Probe {
  readonly address: Ipv4;
  readonly ms: number;
  readonly done: (owner: MacAddress | undefined) => void;
}

/** A server on a clock that is moved by hand, without probes unless told, and clients that say what they are told. */
export class DhcpWorld implements Disposable {
  readonly clock: ManualClock;
  readonly book: MemoryBook;
  readonly log: LogEntry[] = [];
  readonly said: Said[] = [];
  readonly probes: Probe[] = [];
  readonly users = new Map<MacAddress, Ipv4>();
  config: DhcpServerConfig;
  server: DhcpServer;
  readonly #isPlain: boolean;
  #xid = 0;

  constructor(
    change: Partial<DhcpConfig> = {},
    options: { isPlain?: boolean; clock?: ManualClock; book?: MemoryBook; prefix?: number } = {},
  ) {
    this.clock = options.clock ?? new ManualClock();
    this.book = options.book ?? new MemoryBook();
    this.#isPlain = options.isPlain ?? false;
    const usual = secureNatConfig();
    this.config = {
      ...usual,
      prefix: options.prefix ?? usual.prefix,
      dhcp: { ...usual.dhcp, probeMs: 0, ...change },
    };
    this.server = this.#open();
  }

  #open(): DhcpServer {
    return new DhcpServer(this.config, {
      hub: "home",
      clock: this.clock,
      log: logInto(this.clock, (entry) => this.log.push(entry)),
      isPlain: this.#isPlain,
      store: this.book,
      send: (reply) => {
        const message = tryParseDhcp(reply.message)!;
        const { type, yiaddr } = message;
        this.said.push({ type: typeName(type), address: formatIpv4(yiaddr), message, reply });
      },
      probe: (address, ms, done) => void this.probes.push({ address, ms, done }),
      userAddressOf: (of) => this.users.get(of),
    });
  }

  /** The same server after its program was ended, in order or not. */
  restart(how: "close" | "kill" = "close"): void {
    if (how === "close") this.server.close();
    this.server = this.#open();
  }

  reconfigure(change: Partial<DhcpConfig>): void {
    this.config = { ...this.config, dhcp: { ...this.config.dhcp, ...change } };
    this.server.reconfigure(this.config);
  }

  /** A client says something; what it is told at once, if anything. */
  ask(asked: Asked): Said | undefined {
    const { client = 1, wants, ciaddr, server } = asked;
    const own = ciaddr === undefined ? ANY : ip(ciaddr);
    this.#xid += 1;
    const message: DhcpMessage = {
      op: "request",
      type: DHCP_TYPE[asked.type],
      xid: this.#xid,
      secs: 0,
      wantsBroadcast: false,
      ciaddr: own,
      yiaddr: ANY,
      siaddr: ANY,
      giaddr: ANY,
      chaddr: mac(client),
      options: new Map([
        ...(wants === undefined ? [] : [addressOption(DHCP_OPTION.REQUESTED_ADDRESS, wants)]),
        ...(server === undefined ? [] : [addressOption(DHCP_OPTION.SERVER_ID, server)]),
        ...(asked.options ?? []),
      ]),
      ...asked.change,
    };
    const before = this.said.length;
    this.server.receive(encodeDhcp(message), {
      mac: mac(client),
      sourceIp: asked.source === undefined ? own : ip(asked.source),
      sourcePort: asked.port ?? 68,
    });
    return this.said[before];
  }

  /** DISCOVER and REQUEST, as a client that comes; gives the address. */
  bind(client: number, options: Asked["options"] = []): string {
    const offer = this.ask({ type: "DISCOVER", client, options });
    if (offer?.type !== "OFFER")
      throw new Error(`client ${client} got ${offer?.type ?? "no offer"}`);
    const wants = offer.address;
    const server = formatIpv4(this.config.address);
    const answer = this.ask({ type: "REQUEST", client, wants, server, options });
    if (answer?.type !== "ACK")
      throw new Error(`client ${client} got ${answer?.type ?? "nothing"}`);
    return answer.address;
  }

  /** Leases as `client address`. */
  get leases(): string[] {
    return this.server.list().map((lease) => `${lease.mac - mac(0)} ${formatIpv4(lease.address)}`);
  }

  events(level: LogEntry["level"]): string[] {
    return this.log.filter((entry) => entry.level === level).map(({ event }) => event);
  }

  [Symbol.dispose](): void {
    this.server.close();
  }
}

function addressOption(code: number, address: string): readonly [number, Uint8Array] {
  return [code, encodeAddresses([ip(address)])];
}
