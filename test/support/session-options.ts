import type { SessionStatus } from "../../src/session/session-status.ts";
import type { SessionSnapshot } from "../../src/server/snapshot.ts";

// What a session can be asked to be, in one form for both kinds of client, and what it became, in one form for
// what both kinds of client and server say of it: an option that was asked for and not taken must not go unseen.

export interface SessionOptions {
  /** TCP connections, 1 unless given; 2 at least with half duplex or QoS, 4 with both (protocol.md 12.4). */
  readonly connections?: number;
  /** Seconds between additional connections, 1 unless given. */
  readonly intervalS?: number;
  /** Seconds after which a connection is replaced; 0, for ever, unless given. */
  readonly lifetimeS?: number;
  readonly halfDuplex?: boolean;
  readonly compress?: boolean;
  /** False unless given: then one connection is one connection. */
  readonly qos?: boolean;
  /** True unless given. */
  readonly encrypt?: boolean;
  /** UDP acceleration, false unless given. */
  readonly udp?: boolean;
  /** "client" unless given. */
  readonly mode?: "client" | "bridge" | "monitor";
  /** Send the password itself, not its proof. */
  readonly plain?: boolean;
  /** Log in by this, not by a password: paths of PEM files. */
  readonly certificate?: Certificate;
}

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A session as one of its ends tells of it. */
export interface SessionView {
  readonly name: string;
  readonly connections: number;
  readonly maxConnections: number;
  readonly halfDuplex: boolean;
  readonly compressed: boolean;
  readonly qos: boolean;
  readonly encrypted: boolean;
  /** Frames go by UDP. */
  readonly udpActive: boolean;
}

/** Keys of an account of client.toml; all of them, so that no default of the program decides. */
export function accountKeys(options: SessionOptions): Record<string, string | number | boolean> {
  return {
    connections: options.connections ?? 1,
    interval: `${options.intervalS ?? 1}s`,
    lifetime: options.lifetimeS ? `${options.lifetimeS}s` : "0",
    half_duplex: options.halfDuplex ?? false,
    compress: options.compress ?? false,
    qos: options.qos ?? false,
    encrypt: options.encrypt ?? true,
    udp: options.udp ?? false,
    mode: options.mode ?? "client",
    ...(options.plain ? { plain: true } : {}),
    ...options.certificate,
  };
}

/** The commands of vpncmd that make an account of the reference's client what is asked for. */
export function accountCommands(account: string, options: SessionOptions): string[] {
  const yes = (flag: boolean) => (flag ? "yes" : "no");
  const { certificate, mode } = options;
  return [
    `AccountDetailSet ${account} /MAXTCP:${options.connections ?? 1} ` +
      `/INTERVAL:${options.intervalS ?? 1} /TTL:${options.lifetimeS ?? 0} ` +
      `/HALF:${yes(options.halfDuplex ?? false)} /BRIDGE:${yes(mode === "bridge")} ` +
      `/MONITOR:${yes(mode === "monitor")} /NOTRACK:yes /NOQOS:${yes(!(options.qos ?? false))} ` +
      `/DISABLEUDP:${yes(!(options.udp ?? false))}`,
    ...(options.compress ? [`AccountCompressEnable ${account}`] : []),
    ...(options.encrypt === false ? [`AccountEncryptDisable ${account}`] : []),
    ...(certificate
      ? [`AccountCertSet ${account} /LOADCERT:${certificate.cert} /LOADKEY:${certificate.key}`]
      : []),
  ];
}

/** From what vpncmd's AccountStatusGet or SessionGet prints. */
export function viewOfTable(items: Readonly<Record<string, string>>): SessionView {
  const item = (name: string): string => {
    const found = items[name];
    if (found === undefined) throw new Error(`no ${name} in ${JSON.stringify(items)}`);
    return found;
  };
  const isYes = (name: string) => item(name).startsWith("Yes");
  return {
    name: item("Session Name"),
    connections: Number(item("Number of TCP Connections")),
    maxConnections: Number(item("Maximum Number of TCP Connections")),
    halfDuplex: isYes("Half Duplex TCP Connection Mode"),
    compressed: isYes("Use of Compression"),
    qos: item("VoIP / QoS Function") === "Enabled",
    encrypted: item("Encryption").startsWith("Enabled"),
    // A session that has no UDP acceleration has no such item at all.
    udpActive: items["UDP Acceleration is Active"] === "Yes",
  };
}

/** From a session of `vpn client status --json` or `vpn status --json`. */
export function viewOfOurs(session: SessionStatus | SessionSnapshot): SessionView {
  return {
    name: session.name,
    connections: session.connections,
    maxConnections: session.maxConnections,
    halfDuplex: session.halfDuplex,
    compressed: session.compression !== "none",
    qos: session.qos,
    encrypted: session.encrypted,
    udpActive: session.udp === "active",
  };
}
