// Hubs with hosts at them, and layer 3 switches between, on a clock that is moved.
import { formatMac, type MacAddress, readMac, writeMac } from "../../src/base/mac.ts";
import { tryParseAddress } from "../../src/base/ip.ts";
import type { L3SwitchConfig } from "../../src/config/l3-switch-config.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { L3Interface } from "../../src/l3-switch/l3-interface.ts";
import { finishChecksum, internetChecksum, sumWords } from "../../src/wire/checksum.ts";
import { readServer } from "../config/fixture.ts";
import { mac } from "../hub/frames.ts";
import { ArrayPort } from "../support/array-port.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { recordingLog } from "../support/test-server.ts";
import { ensureWasm } from "../wasm/compiled.ts";

await ensureWasm();
const { L3Switch } = await import("../../src/l3-switch/l3-switch.ts");

/** The switch of this name in a file. */
export function switchConfig(text: string, name = "core"): L3SwitchConfig {
  return readServer(`[l3switch.${name}]\n${text}`).config.l3Switches[0]!;
}

export interface Parts {
  readonly ttl?: number;
  readonly protocol?: number;
  readonly body?: Uint8Array;
  readonly flags?: number;
  readonly id?: number;
  readonly options?: readonly number[];
}

/** A host of a hub that keeps all that it gets. */
export class Host {
  readonly port: ArrayPort;
  readonly mac: MacAddress;
  readonly ip: string;
  readonly world: L3World;
  /** Frames go to this MAC: that of the switch in this hub. */
  gateway = 0 as MacAddress;
  /** Answers ARP and neighbour solicitations for its address. */
  answers = true;

  constructor(world: L3World, port: ArrayPort, at: MacAddress, ip: string) {
    this.world = world;
    this.port = port;
    this.mac = at;
    this.ip = ip;
  }

  /** Sends an IP packet from its address by its gateway. */
  send(to: string, parts: Parts = {}): void {
    this.sendFrames(this.packet(to, parts));
  }

  sendFrames(...frames: Uint8Array[]): void {
    this.port.send(...frames);
    this.world.settle();
  }

  packet(to: string, parts: Parts = {}, from = this.ip): Uint8Array {
    return etherFrame(this.gateway, this.mac, ipPacket(from, to, parts));
  }

  /** The packets that came since the last call, without address resolution and multicast listeners. */
  take(): Uint8Array[] {
    return this.port.take().filter((one) => isIp(one) && !isResolution(one) && !isReport(one));
  }
}

export class L3World {
  readonly clock = new ManualClock();
  readonly hubs = new Map<string, Hub>();
  readonly hosts: Host[] = [];
  readonly switches: InstanceType<typeof L3Switch>[] = [];
  readonly lost: string[] = [];
  readonly #random = seededRandom(7);
  #station = 1;

  hub(name: string): Hub {
    const known = this.hubs.get(name);
    if (known !== undefined) return known;
    const log = recordingLog();
    const hub = new Hub({
      name,
      clock: this.clock,
      log,
      random: this.#random,
      isLocalMac: () => false,
      // Its own questions would mix with those of the switch.
      polls: false,
    });
    this.hubs.set(name, hub);
    return hub;
  }

  /** A running switch, plugged into its hubs. */
  start(config: L3SwitchConfig, isAsReference = false) {
    const made = new L3Switch(config, {
      clock: this.clock,
      random: this.#random,
      isAsReference: () => isAsReference,
      lost: ({ hub }) => this.lost.push(hub),
    });
    this.switches.push(made);
    for (const one of made.interfaces) this.plug(one);
    made.begin();
    return made;
  }

  plug(one: L3Interface) {
    const policy = { ...DEFAULT_POLICY, no_broadcast_limiter: true };
    return this.hub(one.hub).attach(one, { kind: "l3", user: "L3SW_core", policy });
  }

  /** A host at a hub, which knows the switch there already. */
  host(hub: string, ip: string): Host {
    const port = new ArrayPort(`${hub}-${this.#station}`);
    const policy = { ...DEFAULT_POLICY, no_broadcast_limiter: true };
    this.hub(hub).attach(port, { kind: "bridge", user: "test", policy });
    const host = new Host(this, port, mac(this.#station), ip);
    this.#station += 1;
    this.hosts.push(host);
    for (const one of this.switches.flatMap(({ interfaces }) => interfaces)) {
      if (one.hub === hub) host.gateway = one.mac;
    }
    port.onDeliver = () => this.#answer(host);
    return host;
  }

  /** Lets hosts answer what they were asked, until all is quiet. */
  settle(): void {
    for (let turn = 0; turn < 100 && this.#answers.length > 0; turn += 1) {
      for (const answer of this.#answers.splice(0)) answer();
    }
  }

  advance(ms: number): void {
    for (let left = ms; left > 0; left -= 500) {
      this.clock.advance(Math.min(500, left));
      this.settle();
    }
  }

  close(): void {
    for (const one of this.switches) one.close();
    for (const hub of this.hubs.values()) hub.close();
  }

  readonly #answers: (() => void)[] = [];

  #answer(host: Host): void {
    const { frames } = host.port;
    const asked = frames[frames.length - 1]!;
    if (!host.answers || !isResolution(asked)) return;
    const reply = replyTo(asked, host);
    if (reply !== undefined) this.#answers.push(() => host.port.send(reply));
  }
}

export function etherFrame(to: MacAddress, from: MacAddress, packet: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(14 + packet.length);
  writeMac(bytes, 0, to);
  writeMac(bytes, 6, from);
  new DataView(bytes.buffer).setUint16(12, packet[0]! >> 4 === 6 ? 0x86dd : 0x0800);
  bytes.set(packet, 14);
  return bytes;
}

export function ipPacket(from: string, to: string, parts: Parts = {}): Uint8Array {
  const source = tryParseAddress(from)!;
  const destination = tryParseAddress(to)!;
  const { ttl = 64, body = new Uint8Array(8), options = [], flags = 0, id = 0 } = parts;
  if (source.family === 6) {
    const packet = new Uint8Array(40 + body.length);
    packet[0] = 0x60;
    new DataView(packet.buffer).setUint16(4, body.length);
    packet[6] = parts.protocol ?? 17;
    packet[7] = ttl;
    packet.set(source.bytes, 8);
    packet.set(destination.bytes, 24);
    packet.set(body, 40);
    return packet;
  }
  const header = 20 + options.length;
  const packet = new Uint8Array(header + body.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x40 | (header / 4);
  view.setUint16(2, packet.length);
  view.setUint16(4, id);
  view.setUint16(6, flags);
  packet[8] = ttl;
  packet[9] = parts.protocol ?? 17;
  packet.set(source.bytes, 12);
  packet.set(destination.bytes, 16);
  packet.set(options, 20);
  view.setUint16(10, internetChecksum(packet, 0, header));
  packet.set(body, header);
  return packet;
}

/** An echo request of either family, with its checksum. */
export function echo(from: string, to: string, data = new Uint8Array(8)): Uint8Array {
  const isV6 = from.includes(":");
  const body = new Uint8Array(8 + data.length);
  body[0] = isV6 ? 128 : 8;
  body.set([0x12, 0x34, 0, 1], 4);
  body.set(data, 8);
  let sum = sumWords(body, 0, body.length);
  if (isV6) {
    sum = sumWords(tryParseAddress(from)!.bytes, 0, 16, sum + 58 + body.length);
    sum = sumWords(tryParseAddress(to)!.bytes, 0, 16, sum);
  }
  new DataView(body.buffer).setUint16(2, finishChecksum(sum));
  return body;
}

/** What a test wants to know of a frame with an IP packet. */
export function seen(frame: Uint8Array) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const isV6 = view.getUint16(12) === 0x86dd;
  const header = isV6 ? 40 : (frame[14]! & 15) * 4;
  const at = 14 + header;
  return {
    to: formatMac(readMac(frame, 0)),
    from: formatMac(readMac(frame, 6)),
    ttl: frame[isV6 ? 21 : 22]!,
    protocol: frame[isV6 ? 20 : 23]!,
    isSound: isV6 || internetChecksum(frame, 14, at) === 0,
    type: frame[at],
    code: frame[at + 1],
    word: frame.length >= at + 8 ? view.getUint32(at + 4) : 0,
    bytes: frame.length - 14,
  };
}

function isIp(frame: Uint8Array): boolean {
  return (frame[12] === 0x08 && frame[13] === 0) || (frame[12] === 0x86 && frame[13] === 0xdd);
}

function isResolution(frame: Uint8Array): boolean {
  const type = (frame[12]! << 8) | frame[13]!;
  if (type === 0x0806) return true;
  return type === 0x86dd && frame[20] === 58 && frame[54]! >= 133 && frame[54]! <= 136;
}

/** Of multicast listeners, who alone put a header before the message here. */
export function isReport(frame: Uint8Array): boolean {
  return frame[12] === 0x86 && frame[13] === 0xdd && frame[20] === 0;
}

/** What the host answers to a question for its address. */
export function replyTo(asked: Uint8Array, host: Host): Uint8Array | undefined {
  const own = tryParseAddress(host.ip)!;
  if (asked[12] === 0x08) {
    const isForUs = own.family === 4 && Buffer.from(asked.subarray(38, 42)).equals(own.bytes);
    if (asked[21] !== 1 || !isForUs || asked.subarray(28, 32).every((octet) => octet === 0))
      return undefined;
    return arpFrame({
      operation: 2,
      from: host.mac,
      ip: host.ip,
      to: readMac(asked, 6),
      target: asked.slice(28, 32),
    });
  }
  const isForUs = own.family === 6 && Buffer.from(asked.subarray(62, 78)).equals(own.bytes);
  if (asked[54] !== 135 || !isForUs) return undefined;
  return advertisement(host, readMac(asked, 6), asked.slice(22, 38));
}

export function arpFrame(of: {
  readonly operation: number;
  readonly from: MacAddress;
  readonly ip: string;
  readonly to: MacAddress;
  readonly target: Uint8Array;
  /** In the packet, where that is not the frame's. */
  readonly sender?: MacAddress;
}): Uint8Array {
  const bytes = new Uint8Array(60);
  writeMac(bytes, 0, of.to);
  writeMac(bytes, 6, of.from);
  bytes.set([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, of.operation], 12);
  writeMac(bytes, 22, of.sender ?? of.from);
  bytes.set(tryParseAddress(of.ip)!.bytes, 28);
  if (of.operation === 2) writeMac(bytes, 32, of.to);
  bytes.set(of.target, 38);
  return bytes;
}

/** A solicited neighbour advertisement of a host's address. */
export function advertisement(
  host: Pick<Host, "mac" | "ip">,
  to: MacAddress,
  whom: Uint8Array,
): Uint8Array {
  const own = tryParseAddress(host.ip)!.bytes;
  const body = new Uint8Array(32);
  body[0] = 136;
  body[4] = 0x60;
  body.set(own, 8);
  body.set([2, 1], 24);
  writeMac(body, 26, host.mac);
  let sum = sumWords(body, 0, 32, 58 + 32);
  sum = sumWords(own, 0, 16, sum);
  sum = sumWords(whom, 0, 16, sum);
  new DataView(body.buffer).setUint16(2, finishChecksum(sum));
  const packet = ipPacket(host.ip, "::", { ttl: 255, protocol: 58, body });
  packet.set(whom, 24);
  return etherFrame(to, host.mac, packet);
}
