// Which frames of a port its hub keeps a line of (hub.md 10): the last thing that is asked before a frame goes out.
import { PACKET_HEADER_BYTES } from "../../base/limits.ts";
import type { PacketLevels } from "../../observe/packet-record.ts";
import { DROP, PASS } from "../drop-reason.ts";
import type { FrameCheck } from "../frame-check.ts";
import { ETHERTYPE, type FrameView, IP_PROTOCOL } from "../frame-view.ts";
import type { PortIdentity } from "../port-identity.ts";
import type { HubParts } from "../port-program.ts";
import { CONNECT_FLAGS, Dissection, requestAt } from "./dissection.ts";
import { IF_REQUEST, type PacketLog, WITH_PLACES, WITHOUT_REQUESTS } from "./packet-log.ts";

const MINUTE_MS = 60_000;
/** Ethernet, IPv4 without options, TCP without options; and so with IPv6. */
const TCP4_BYTES = 54;
const TCP6_BYTES = 74;

/** Lines of one session within the present minute; they outlive a change of its rules. */
class MinuteBudget {
  #since = -Infinity;
  #count = 0;

  /** False if this frame is one too many. */
  spend(most: number, now: number): boolean {
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count <= most;
  }
}

const budgets = new WeakMap<PortIdentity, MinuteBudget>();

/** The packet log as the last check of `port`; none where the hub keeps no packet log. */
export function packetLogger(port: PortIdentity, hub: HubParts): readonly FrameCheck[] {
  const { packetLog, settings } = hub;
  const { packetLevels: levels, options } = settings;
  if (packetLog === undefined || Object.values(levels).every((level) => level === 0)) return [];
  let budget = budgets.get(port);
  if (budget === undefined) budgets.set(port, (budget = new MinuteBudget()));
  return [
    new PacketLogCheck(port, packetLog, budget, {
      levels,
      skipsIpv4: options.NoIPv4PacketLog !== 0,
      skipsIpv6: options.NoIPv6PacketLog !== 0,
      readsRequests: options.DisableHttpParsing === 0,
      // Only sessions from outside are held to it.
      perMinute: port.isNetworkSession ? options.MaxLoggedPacketsPerMinute || Infinity : Infinity,
      flags:
        (options.NoPhysicalIPOnPacketLog === 0 ? WITH_PLACES : 0) |
        (options.DisableHttpParsing === 0 ? 0 : WITHOUT_REQUESTS),
    }),
  ];
}

interface LogRules {
  readonly levels: PacketLevels;
  readonly skipsIpv4: boolean;
  readonly skipsIpv6: boolean;
  readonly readsRequests: boolean;
  readonly perMinute: number;
  /** Of each line that is made. */
  readonly flags: number;
}

class PacketLogCheck implements FrameCheck {
  readonly #port: PortIdentity;
  readonly #log: PacketLog;
  readonly #budget: MinuteBudget;
  readonly #rules: LogRules;
  readonly #found = new Dissection();
  /** Segments within a connection leave no line, unless they are requests. */
  readonly #passesStreams: boolean;

  constructor(port: PortIdentity, log: PacketLog, budget: MinuteBudget, rules: LogRules) {
    this.#port = port;
    this.#log = log;
    this.#budget = budget;
    this.#rules = rules;
    const { tcpdata, ip, ether } = rules.levels;
    this.#passesStreams = tcpdata === 0 && ip === 0 && ether === 0;
  }

  check(frame: FrameView, now: number): number {
    if (!this.#log.sink.isOpen) return PASS;
    if (this.#passesStreams && isWithinStream(frame)) return PASS;
    const found = this.#found;
    found.read(frame.view, frame.start, frame.end);
    const level = this.#levelOf(frame, found);
    if (level === 0) return PASS;
    const { perMinute, flags } = this.#rules;
    // The frame goes, not its line alone: else a session could hide by sending more (hub.md 2.5).
    if (!this.#budget.spend(perMinute, now)) return DROP.packet_log_limit;
    const size = frame.end - frame.start;
    const isWhole =
      (level & 2) !== 0 ||
      found.layer7 === "dns" ||
      found.layer7 === "request" ||
      found.layer7 === "hello" ||
      (found.layer4 === "icmp" && found.layer3 === "ipv6");
    const kept = isWhole ? size : Math.min(size, PACKET_HEADER_BYTES);
    this.#log.catch(frame, kept, level | flags, this.#port);
    return PASS;
  }

  /** The most that any kind of this frame wants, or IF_REQUEST with it where that is not sure yet. */
  #levelOf(frame: FrameView, found: Dissection): number {
    const { levels, skipsIpv4, skipsIpv6, readsRequests } = this.#rules;
    let level: number = levels.ether;
    switch (found.layer3) {
      case "arp":
        return skipsIpv4 ? 0 : Math.max(level, levels.arp);
      case "ipv4":
        if (skipsIpv4) return 0;
        break;
      case "ipv6":
        if (skipsIpv6) return 0;
        break;
      default:
        return level;
    }
    level = Math.max(level, levels.ip);
    if (!readsRequests) found.forgetRequest();
    switch (found.layer4) {
      case "icmp":
        return Math.max(level, levels.icmp);
      case "udp":
        level = Math.max(level, levels.udp);
        if (found.layer7 === "dhcp") return Math.max(level, levels.dhcp);
        return found.layer7 === "none" ? level : Math.max(level, levels.tcpconn);
      case "tcp": {
        level = Math.max(level, levels.tcpdata);
        const isConnect = (frame.view.getUint8(found.layer4At + 13) & CONNECT_FLAGS) !== 0;
        if (isConnect) return Math.max(level, levels.tcpconn);
        if (found.layer7 === "none" || levels.tcpconn <= level) return level;
        return level === 0 ? levels.tcpconn | IF_REQUEST : levels.tcpconn;
      }
      default:
        return level;
    }
  }
}

/** Most frames there are: TCP in the usual form, neither beginning nor ending, and no request. */
function isWithinStream({ view, start, end, etherType }: FrameView): boolean {
  let tcp: number;
  if (etherType === ETHERTYPE.IPV4) {
    if (end - start < TCP4_BYTES || view.getUint8(start + 14) !== 0x45) return false;
    if (view.getUint8(start + 23) !== IP_PROTOCOL.TCP) return false;
    if ((view.getUint16(start + 20) & 0x1fff) !== 0) return false;
    tcp = start + 34;
  } else if (etherType === ETHERTYPE.IPV6) {
    if (end - start < TCP6_BYTES || view.getUint8(start + 20) !== IP_PROTOCOL.TCP) return false;
    tcp = start + 54;
  } else {
    return false;
  }
  if ((view.getUint8(tcp + 13) & CONNECT_FLAGS) !== 0) return false;
  const payloadAt = tcp + (view.getUint8(tcp + 12) >>> 4) * 4;
  return requestAt(view, tcp, payloadAt, end) === "none";
}
