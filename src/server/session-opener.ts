import type { Admitted } from "../auth/verdict.ts";
import { clamp } from "../base/clamp.ts";
import type { Clock } from "../base/clock.ts";
import { SESSION_TIMEOUT_S } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { HubOptions } from "../config/hub-options.ts";
import type { ServerSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import { createBlockCodec, type BlockCodec } from "../session/block-codec.ts";
import type { Heartbeat } from "../session/heartbeat.ts";
import type { LoginRequest } from "../session/login.ts";
import { Session } from "../session/session.ts";
import { grantStream } from "../session/stream-options.ts";
import { grantUdp } from "../session/udp/udp-path.ts";
import { SESSION_KEY_BYTES, type Welcome } from "../session/welcome.ts";
import type { Link } from "../transport/tls-link.ts";
import type { HubHost } from "./hub-host.ts";
import { sessionMode, sessionPolicy, type OpenSession } from "./stay.ts";
import { takeOver } from "./takeover.ts";

export interface OpenerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heartbeat: Heartbeat;
  settings(): ServerSettings;
  /** A connection of some session has ended. */
  connectionEnded(reason: string): void;
}

/**
 * Sessions between two collections of garbage. The runtime lets what logins leave behind grow to the size of packet
 * memory, which it counts as its own; the sessions would lie scattered in it and keep 50 KiB each resident for good.
 */
const COLLECT_EVERY = 64;

/** Opens the sessions of logins that were admitted, and knows them by their secret keys. */
export class SessionOpener {
  readonly #deps: OpenerDeps;
  readonly #byKey = new Map<string, OpenSession>();
  #connectionCounter = 0;

  constructor(deps: OpenerDeps) {
    this.#deps = deps;
  }

  get sessionCount(): number {
    return this.#byKey.size;
  }

  find(sessionKey: Uint8Array): OpenSession | undefined {
    return this.#byKey.get(keyText(sessionKey));
  }

  /** A session within what its policy and its client allow, plugged into its hub (hub.md 5.1 step 17). */
  open(host: HubHost, admitted: Admitted, request: LoginRequest, link: Link): Session {
    const { clock, random } = this.#deps;
    const mode = sessionMode(request);
    const isLocal = link.remoteAddress === link.localAddress;
    const user = admitted.name;
    const { options } = host.config;
    const policy = sessionPolicy(
      host.policyOf(admitted),
      { mode, isLocal },
      host.hub.settings.compat,
    );
    const stream = grantStream(request.stream, {
      connections: policy.max_connection,
      allowsPlaintext: host.config.allowPlaintext && link.mayLeaveTls,
      allowsQos: !policy.no_qos && mode !== "monitor",
    });
    const { compression, isEncrypted } = stream;
    const codec = compression === "none" ? undefined : createBlockCodec(compression);
    const udp = this.#grantUdp(request, link, options, { isEncrypted, codec });
    const welcome: Welcome = {
      sessionName: host.nextSessionName(user),
      connectionName: `CID-${++this.#connectionCounter}`,
      sessionKey: random.bytes(SESSION_KEY_BYTES),
      stream,
      udp: udp?.grant,
      timeoutMs: clamp(policy.timeout, SESSION_TIMEOUT_S.min, SESSION_TIMEOUT_S.max) * 1000,
      policy,
      message: host.config.message,
      hubId: host.id,
      hidesUpdates: options.SuppressClientUpdateNotification === 1,
    };
    const session = new Session(welcome, {
      ...this.#deps,
      end: "server",
      codec,
      udp: udp?.path,
    });
    const port = host.hub.attach(session, {
      kind: mode,
      user,
      policy,
      group: host.groupOf(admitted),
      remoteAddress: link.remoteAddress,
    });
    const open: OpenSession = {
      session,
      port,
      user,
      mode,
      isLocal,
      request,
      address: link.remoteAddress,
      since: clock.wall(),
    };
    host.add(open, admitted);
    takeOver(host, open);
    if (this.#connectionCounter % COLLECT_EVERY === 0) Bun.gc(false);
    this.#byKey.set(keyText(welcome.sessionKey), open);
    session.onClosed = (reason) => this.#closed(host, open, reason.code);
    session.onConnectionEnded = (reason) => this.#deps.connectionEnded(reason);
    this.#deps.log.info("login", `${user} logged in to hub ${host.config.name}`, {
      user,
      hub: host.config.name,
      session: session.name,
      address: link.remoteAddress,
      auth: admitted.account.verifier.kind,
      account: admitted.account.name === user ? undefined : admitted.account.name,
      serial: admitted.certificate?.serial,
      mode,
      client: request.clientProduct,
      version: request.clientVersion,
      build: request.clientBuild,
      os: request.osName,
      host: request.hostName,
      cipher: link.cipher,
      connections: stream.connections,
      encrypted: isEncrypted,
      compression,
      udp: udp !== undefined,
      vlan: policy.vlan_id || undefined,
      timeout_s: welcome.timeoutMs / 1000,
    });
    return session;
  }

  #grantUdp(
    { udp }: LoginRequest,
    { localAddress, remoteAddress }: Link,
    { DisableUdpAcceleration, DisableAdjustTcpMss }: HubOptions,
    stream: { isEncrypted: boolean; codec: BlockCodec | undefined },
  ): ReturnType<typeof grantUdp> {
    const { udpAcceleration, udpPorts } = this.#deps.settings();
    if (udp === undefined || !udpAcceleration || DisableUdpAcceleration === 1) return undefined;
    const ends = { localAddress, remoteAddress, ports: udpPorts };
    const leavesMss = DisableAdjustTcpMss === 1;
    return grantUdp(udp, { ...this.#deps, ...stream, ...ends, leavesMss });
  }

  #closed(host: HubHost, open: OpenSession, reason: string): void {
    const { session, user } = open;
    this.#byKey.delete(keyText(session.welcome.sessionKey));
    host.remove(open, reason);
    this.#deps.log.info("logout", `${user} left hub ${host.config.name}`, {
      user,
      hub: host.config.name,
      session: session.name,
      address: open.address,
      reason,
      seconds: Math.round((this.#deps.clock.now() - session.startedAt) / 1000),
      in_bytes: session.stats.inBytes,
      out_bytes: session.stats.outBytes,
    });
  }
}

/** Keys are looked up by a hash map, whose time tells nothing about the key's bytes one by one. */
function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}
