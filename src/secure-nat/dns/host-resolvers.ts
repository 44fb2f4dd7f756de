import { closeSync, openSync, readSync, statSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { Clock } from "../../base/clock.ts";
import { type IpAddress, tryParseAddress } from "../../base/ip.ts";
import { MAX_DNS_RESOLVERS, MAX_RESOLV_CONF_BYTES } from "../../base/limits.ts";
import type { SocketAddress } from "../../platform/socket-address.ts";

const RESOLV_CONF = "/etc/resolv.conf";
const DNS_PORT = 53;
/** A change of the file is seen this late at most, and looked for only when somebody asks. */
const LOOK_MS = 1_000;
/** What a machine without an entry asks (resolv.conf(5)). */
const LOOPBACK: SocketAddress = { family: 4, bytes: Uint8Array.of(127, 0, 0, 1), port: DNS_PORT };

export interface HostResolversOptions {
  readonly clock: Clock;
  /** Those of the configuration at the start; empty: those of this machine. */
  readonly configured: readonly IpAddress[];
  /**
   * True for an address of the virtual host itself: a machine that is also a guest of its own hub may have it for a
   * resolver, and a question would come round for ever.
   */
  readonly isOwn: (address: IpAddress) => boolean;
  readonly path?: string;
}

/** The resolvers that this machine itself uses, as resolv.conf(5) names them at the time of asking. */
export class HostResolvers {
  readonly #options: HostResolversOptions;
  readonly #path: string;
  #servers: readonly SocketAddress[] = [];
  #configured: readonly IpAddress[] = [];
  #lookedAt = -Infinity;
  /** Of the file that was read: another one in its place has another inode. */
  #version = "";

  constructor(options: HostResolversOptions) {
    this.#options = options;
    this.#path = options.path ?? RESOLV_CONF;
    this.reconfigure(options.configured);
  }

  /** Others of the configuration: questions that wait already go on with those they have. */
  reconfigure(configured: readonly IpAddress[]): void {
    this.#configured = configured;
    this.#servers = this.#usable(configured.map((at) => ({ ...at, port: DNS_PORT })));
    this.#lookedAt = -Infinity;
    this.#version = "";
  }

  /** In their order; the same array until something changes. Empty where there is none but the virtual host. */
  current(): readonly SocketAddress[] {
    if (this.#configured.length > 0) return this.#servers;
    const now = this.#options.clock.now();
    if (now - this.#lookedAt < LOOK_MS) return this.#servers;
    this.#lookedAt = now;
    const stat = statSync(this.#path, { throwIfNoEntry: false, bigint: true });
    const version = stat === undefined ? "none" : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
    if (version === this.#version) return this.#servers;
    this.#version = version;
    const named = stat === undefined ? [] : parseResolvConf(readStart(this.#path));
    this.#servers = this.#usable(named.length === 0 ? [LOOPBACK] : named);
    return this.#servers;
  }

  #usable(servers: readonly SocketAddress[]): readonly SocketAddress[] {
    return servers.filter((server) => !this.#options.isOwn(server)).slice(0, MAX_DNS_RESOLVERS);
  }
}

/** The resolvers that a resolv.conf(5) names, in its order. Lines that make no sense are passed over, as libc does. */
export function parseResolvConf(text: string): SocketAddress[] {
  const servers: SocketAddress[] = [];
  for (const line of text.split("\n")) {
    const value = /^nameserver[ \t]+([^ \t#;]+)/.exec(line)?.[1];
    if (value === undefined) continue;
    const [plain, zone] = value.split("%", 2);
    const address = tryParseAddress(plain!);
    if (address === undefined) continue;
    const server: SocketAddress = { ...address, port: DNS_PORT };
    if (zone === undefined) servers.push(server);
    else {
      const scope = scopeOf(zone);
      if (scope !== undefined) servers.push({ ...server, scope });
    }
  }
  return servers;
}

/** The number of a zone, which is an interface's name or the number itself (RFC 4007 11.2). */
function scopeOf(zone: string): number | undefined {
  if (/^[0-9]{1,9}$/.test(zone)) return Number(zone);
  for (const entry of networkInterfaces()[zone] ?? []) {
    if (entry.family === "IPv6" && (entry.scopeid ?? 0) > 0) return entry.scopeid;
  }
  return undefined;
}

/** A file that went away meanwhile is an empty one. */
function readStart(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === undefined) throw thrown;
    return "";
  }
  try {
    const bytes = new Uint8Array(MAX_RESOLV_CONF_BYTES);
    return new TextDecoder().decode(bytes.subarray(0, readSync(fd, bytes)));
  } finally {
    closeSync(fd);
  }
}
