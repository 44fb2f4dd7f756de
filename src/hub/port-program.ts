// What is asked of the frames of one port, compiled when its policy or the hub's settings change. Empty lists cost
// nothing: then whole runs pass (architecture.md 2). The order is that of hub.md 2.5.
import type { Clock } from "../base/clock.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { accessArrival, accessDeparture } from "./access/access-check.ts";
import type { AccessList } from "./access/access-list.ts";
import { checksumCompletion } from "./checksum-completion.ts";
import { defaultRouterRemover } from "./default-router.ts";
import { dormancy } from "./dormancy.ts";
import { dlinkEcho } from "./dlink-echo.ts";
import type { Fdb } from "./fdb.ts";
import type { FrameCheck, RunRewriter } from "./frame-check.ts";
import type { FrameView } from "./frame-view.ts";
import { gatewayRemover } from "./gateway-remover.ts";
import { hubFilter } from "./hub-filter.ts";
import type { HubLog } from "./hub-log.ts";
import type { HubSettings } from "./hub-settings.ts";
import { ipAdmission } from "./ip-admission.ts";
import type { IpCounts } from "./ip-counts.ts";
import type { IpTable } from "./ip-table.ts";
import { hubMssClamp } from "./mss-clamp.ts";
import type { PacketLog } from "./packet-log/packet-log.ts";
import { packetLogger } from "./packet-log/packet-log-check.ts";
import { arrivalPolicy, departurePolicy, privacyFilter } from "./policy-filter.ts";
import type { PortIdentity } from "./port-identity.ts";
import { sessionVlan } from "./session-vlan.ts";
import { downloadShaper, uploadShaper } from "./shaper.ts";
import { stormLimiter } from "./storm-limiter.ts";

/** The parts of a hub that checks work with; one for all of its ports. */
export interface HubParts {
  readonly settings: HubSettings;
  readonly access: AccessList;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: HubLog;
  readonly fdb: Fdb;
  readonly ipTable: IpTable;
  readonly ipCounts: IpCounts;
  /** The port at a place of the tables, if one is there. */
  portAt(index: number): PortIdentity | undefined;
  /** Undefined where nobody keeps lines of frames. */
  readonly packetLog: PacketLog | undefined;
  /** Of an interface of this computer. */
  isLocalMac(mac: MacAddress): boolean;
  /** Keeps a copy of the frame at hand and sends it on later, from step 13 on; false if there is no room for it. */
  park(frame: FrameView, delayMs: number): boolean;
  /** Sends a frame of the hub's own to one port, past all checks; `frame` is without a size prefix. */
  send(frame: Uint8Array, to: PortIdentity): void;
}

export interface PortProgram {
  /** Before everything else: MSS clamp, session VLAN, checksums. */
  readonly ingress: readonly RunRewriter[];
  /** Before the source is learnt (steps 8 to 12); a check may take the frame. */
  readonly arrival: readonly FrameCheck[];
  /** When it is known where the frame goes (steps 16, 17 and the packet log of 19). */
  readonly admission: readonly FrameCheck[];
  /** The same for frames that go to all ports. */
  readonly flooding: readonly FrameCheck[];
  /** Of frames from others to this port (step 19); frames to monitoring ports are asked about, too. */
  readonly departure: readonly FrameCheck[];
  /** Last of all. */
  readonly egress: readonly RunRewriter[];
}

/** The program of a port. Its identity is read when frames come, so `user` and `policy` are always the present ones. */
export function compilePort(port: PortIdentity, hub: HubParts): PortProgram {
  const vlan = sessionVlan(port, hub);
  const dormant = dormancy(port, hub);
  const dlink = dlinkEcho(port, hub);
  const addresses = ipAdmission(port, hub);
  const logged = packetLogger(port, hub);
  return {
    // What a SYN says is mended in its checksum, which has to be there by then.
    ingress: [
      ...checksumCompletion(port, hub),
      ...gatewayRemover(hub),
      ...hubMssClamp(hub),
      ...vlan.ingress,
    ],
    arrival: [
      ...dormant.arrival,
      ...uploadShaper(port),
      ...arrivalPolicy(port),
      ...hubFilter(port, hub),
      ...dlink.arrival,
      // The last but for learning: what a rule delays goes on from there.
      ...accessArrival(port, hub),
    ],
    admission: [...addresses, ...logged],
    flooding: [...addresses, ...stormLimiter(port, hub), ...logged],
    departure: [
      ...vlan.departure,
      ...dormant.departure,
      ...departurePolicy(port),
      ...privacyFilter(port, hub),
      ...accessDeparture(port, hub),
      ...downloadShaper(port),
      ...dlink.departure,
    ],
    egress: [...defaultRouterRemover(port, hub), ...vlan.egress],
  };
}
