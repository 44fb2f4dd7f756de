import { clamp } from "../base/clamp.ts";
import { VpnError } from "../base/errors.ts";
import { SESSION_TIMEOUT_S } from "../base/limits.ts";
import { DEFAULT_POLICY, POLICY_ITEMS, type Policy } from "../config/policy.ts";
import { Pack } from "../wire/pack.ts";
import { readGrant, writeStream, type StreamOptions } from "./stream-options.ts";
import {
  readGrant as readUdpGrant,
  writeGrant as writeUdpGrant,
  type UdpGrant,
} from "./udp/elements.ts";

export const SESSION_KEY_BYTES = 20;
/** Ours alone, which other peers pass over: by it a cascade sees that it has come back to its own hub (hub.md 13). */
const HUB_ID_ELEMENT = "patchbay_hub";
export const HUB_ID_BYTES = 16;

/** What a server grants a session (protocol.md 9). The client obeys it. */
export interface Welcome {
  /** `SID-ALICE-1`. */
  readonly sessionName: string;
  /** `CID-7`. */
  readonly connectionName: string;
  /** Names the session in additional connections: as secret as a password. */
  readonly sessionKey: Uint8Array;
  readonly stream: StreamOptions;
  /** UDP acceleration, where it is granted. */
  readonly udp?: UdpGrant | undefined;
  readonly timeoutMs: number;
  readonly policy: Policy;
  /** For the user, may be empty. */
  readonly message: string;
  /** The client shall not tell of newer versions of itself. */
  readonly hidesUpdates?: boolean;
  /** Tells this hub, while it runs, from all others; HUB_ID_BYTES long, from servers of ours. */
  readonly hubId?: Uint8Array | undefined;
}

/** The whole welcome: what is not granted is said with 0, since the client goes by what it reads. */
export function encodeWelcome(welcome: Welcome): Pack {
  const { sessionKey } = welcome;
  const firstWord = new DataView(sessionKey.buffer, sessionKey.byteOffset).getUint32(0);
  const pack = new Pack()
    .setStr("session_name", welcome.sessionName)
    .setStr("connection_name", welcome.connectionName)
    .setData("session_key", sessionKey)
    .setInt("session_key_32", firstWord)
    .setInt("timeout", welcome.timeoutMs)
    .setInt("is_azure_session", 0)
    .setBool("enable_udp_recovery", false)
    .setInt("vlan_id", welcome.policy.vlan_id)
    .setBool("suppress_client_update_notification", welcome.hidesUpdates === true)
    .setData("Msg", new TextEncoder().encode(welcome.message));
  writeStream(pack, welcome.stream);
  if (welcome.hubId !== undefined) pack.setData(HUB_ID_ELEMENT, welcome.hubId);
  if (welcome.udp !== undefined) writeUdpGrant(pack, welcome.udp);
  for (const item of POLICY_ITEMS) {
    pack.setInt(`policy:${item.wire}`, Number(welcome.policy[item.key]));
  }
  return pack.setInt("policy:Ver3", 1);
}

/**
 * Reads a welcome. Values out of range are brought into it: the session runs by them.
 * @throws VpnError `protocol_error` when it names no session, or grants a stream that nobody asked for.
 */
export function parseWelcome(pack: Pack, wish: StreamOptions): Welcome {
  const sessionName = pack.str("session_name");
  const connectionName = pack.str("connection_name");
  const sessionKey = pack.data("session_key");
  if (
    sessionName === undefined ||
    connectionName === undefined ||
    sessionKey?.length !== SESSION_KEY_BYTES
  ) {
    throw new VpnError("protocol_error", "The server's welcome names no session");
  }
  return {
    sessionName,
    connectionName,
    sessionKey: sessionKey.slice(),
    stream: readGrant(pack, wish),
    udp: readUdpGrant(pack),
    timeoutMs: clamp(
      pack.int("timeout") ?? SESSION_TIMEOUT_S.default * 1000,
      SESSION_TIMEOUT_S.min * 1000,
      SESSION_TIMEOUT_S.max * 1000,
    ),
    policy: parsePolicy(pack),
    message: new TextDecoder().decode(pack.data("Msg") ?? new Uint8Array(0)),
    hubId: pack.data(HUB_ID_ELEMENT)?.slice(),
  };
}

function parsePolicy(pack: Pack): Policy {
  const values = POLICY_ITEMS.map((item) => {
    const value = pack.int(`policy:${item.wire}`) ?? 0;
    return [item.key, item.kind === "bool" ? value !== 0 : value] as const;
  });
  return { ...DEFAULT_POLICY, ...(Object.fromEntries(values) as Partial<Policy>) };
}
