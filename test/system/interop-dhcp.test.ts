import { expect, test } from "bun:test";
import { formatIpv4, type Ipv4, tryParseIpv4 } from "../../src/base/ip.ts";
import { formatMac, MAC_BROADCAST, type MacAddress } from "../../src/base/mac.ts";
import { encodeDhcpFrame } from "../../src/client/dhcp-frame.ts";
import { DHCP_OPTION, encodeAddresses } from "../../src/wire/dhcp-option.ts";
import { DHCP_TYPE, type DhcpMessage, tryParseDhcp } from "../../src/wire/dhcp.ts";
import { tryParseEthernet } from "../../src/wire/ethernet.ts";
import { tryParseIpv4Packet } from "../../src/wire/ipv4.ts";
import { tryParseUdp } from "../../src/wire/udp.ts";
import { toHex } from "../support/hex.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { NatWorld } from "../support/nat-world.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { HUB, type Implementation } from "../support/tunnel-server.ts";
import { FrameListener, sendFrames } from "../support/two-lans.ts";
import { VpnServer } from "../support/vpn.ts";

// The same messages to the virtual DHCP servers of both, and their answers byte by byte.

const ip = (text: string): Ipv4 => tryParseIpv4(text)!;
const ANY = 0 as Ipv4;
const SERVER = "192.168.30.1";
const ALICE = 0x5e00_0000_0a01 as MacAddress;
const BOB = 0x5e00_0000_0b02 as MacAddress;
const text = (value: string) => new TextEncoder().encode(value);

interface Said {
  readonly name: string;
  readonly type: keyof typeof DHCP_TYPE;
  readonly by?: MacAddress;
  readonly from?: string;
  readonly wants?: string;
  readonly server?: string;
  readonly options?: readonly (readonly [number, Uint8Array])[];
  readonly change?: Partial<DhcpMessage>;
}

/** A day of two hosts. Each message is seen by a server that has seen those before it. */
const DAY: readonly Said[] = [
  { name: "the first search", type: "DISCOVER" },
  { name: "a choice", type: "REQUEST", wants: "192.168.30.10", server: SERVER },
  { name: "a renewal", type: "REQUEST", from: "192.168.30.10" },
  { name: "a host that starts again", type: "REQUEST", wants: "192.168.30.10" },
  { name: "a search of a host that has a lease", type: "DISCOVER" },
  {
    name: "a search that asks for broadcasts",
    type: "DISCOVER",
    change: { wantsBroadcast: true },
  },
  { name: "a search with a wish", type: "DISCOVER", by: BOB, wants: "192.168.30.77" },
  { name: "a search for what is taken", type: "DISCOVER", by: BOB, wants: "192.168.30.10" },
  { name: "a search from elsewhere", type: "DISCOVER", by: BOB, wants: "10.0.0.7" },
  { name: "an address outside the pool", type: "REQUEST", by: BOB, wants: "192.168.30.9" },
  { name: "an address of another network", type: "REQUEST", by: BOB, wants: "10.0.0.7" },
  { name: "an address of somebody else", type: "REQUEST", by: BOB, wants: "192.168.30.10" },
  { name: "a renewal of another's address", type: "REQUEST", by: BOB, from: "192.168.30.10" },
  { name: "questions", type: "INFORM", from: "192.168.30.10" },
  {
    name: "another SecureNAT",
    type: "DISCOVER",
    by: 0x5e00_0000_0c03 as MacAddress,
    options: [[DHCP_OPTION.HOST_NAME, text("securenat-5e0000000c03")]],
  },
  { name: "an end", type: "RELEASE", from: "192.168.30.10", server: SERVER },
  { name: "a wish for what was given back", type: "DISCOVER", by: BOB, wants: "192.168.30.10" },
  {
    name: "a choice of another server",
    type: "REQUEST",
    by: BOB,
    wants: "192.168.30.90",
    server: "192.168.30.2",
  },
  { name: "a complaint", type: "DECLINE", by: BOB, wants: "192.168.30.90", server: SERVER },
  { name: "a search after that", type: "DISCOVER", by: BOB },
  {
    name: "an identifier",
    type: "DISCOVER",
    options: [[DHCP_OPTION.CLIENT_ID, new Uint8Array([0, 1, 2, 3])]],
  },
];

function frameOf(said: Said, xid: number): string {
  const { by = ALICE, from, wants, server } = said;
  const ciaddr = from === undefined ? ANY : ip(from);
  const option = (code: number, address: string | undefined) =>
    address === undefined ? [] : [[code, encodeAddresses([ip(address)])] as const];
  const message: DhcpMessage = {
    op: "request",
    type: DHCP_TYPE[said.type],
    xid,
    secs: 0,
    wantsBroadcast: false,
    ciaddr,
    yiaddr: ANY,
    siaddr: ANY,
    giaddr: ANY,
    chaddr: by,
    options: new Map([
      ...option(DHCP_OPTION.REQUESTED_ADDRESS, wants),
      ...option(DHCP_OPTION.SERVER_ID, server),
      ...(said.options ?? []),
    ]),
    ...said.change,
  };
  const path = { srcMac: by, dstMac: MAC_BROADCAST, src: ciaddr, dst: 0xffff_ffff as Ipv4 };
  return toHex(encodeDhcpFrame(message, path));
}

interface Answer {
  readonly to: string;
  readonly port: number;
  readonly isToAll: boolean;
  readonly payload: string;
}

/** The answer to a message, if this frame is that. */
function answerIn(hex: string, xid: number): Answer | undefined {
  const frame = tryParseEthernet(Uint8Array.fromHex(hex));
  const packet = frame === undefined ? undefined : tryParseIpv4Packet(frame.payload);
  const datagram = packet === undefined ? undefined : tryParseUdp(packet.payload, packet);
  if (datagram?.srcPort !== 67 || tryParseDhcp(datagram.payload)?.xid !== xid) return undefined;
  return {
    to: formatIpv4(packet!.dst),
    port: datagram.dstPort,
    isToAll: frame!.dst === MAC_BROADCAST,
    payload: toHex(datagram.payload),
  };
}

const FIRST_XID = 0x5000_0000;
/** An INFORM is always answered, and by broadcast where it comes from nobody: then all before it have been dealt with. */
const FENCE: Said = { name: "fence", type: "INFORM" };

/** Says all of it, one after the other; "silence" for what is not answered. */
async function spend(guest: Namespace): Promise<Record<string, Answer | "silence">> {
  // Somebody must answer the reference when it looks for the hosts that it has given an address.
  await guest.ip("link", "set", "eth0", "down");
  await guest.ip("link", "set", "eth0", "address", formatMac(ALICE), "up");
  await guest.ip("addr", "add", "192.168.30.10/32", "dev", "eth0");
  // The cookie and the option behind it: whatever DHCP server speaks.
  const listener = await FrameListener.start(guest, "6382536335");
  const find = (xid: number) =>
    listener.frames.map((hex) => answerIn(hex, xid)).find((answer) => answer !== undefined);
  const say = async (all: readonly Said[], xid: number) => {
    await sendFrames(
      guest,
      all.map((said, n) => frameOf(said, xid + n)),
    );
    await until("an answer to the last message", () => find(xid + all.length - 1), {
      deadlineMs: 20_000,
    });
  };
  // So that it knows from then on who has that address, and answers to it without a delay.
  await say([{ name: "hello", type: "INFORM", from: "192.168.30.10" }], FIRST_XID - 1);
  await say([...DAY, FENCE], FIRST_XID);
  return Object.fromEntries(
    DAY.map(({ name }, n) => [name, find(FIRST_XID + n) ?? ("silence" as const)]),
  );
}

const REFERENCE_SET =
  "DhcpSet /START:192.168.30.10 /END:192.168.30.200 /MASK:255.255.255.0 /EXPIRE:7200 " +
  `/GW:${SERVER} /DNS:${SERVER} /DNS2:none /DOMAIN:guest.example /LOG:yes ` +
  "/PUSHROUTE:10.0.0.0/255.0.0.0/192.168.30.2";
const OUR_SET = 'domain = "guest.example", routes = [{ to = "10.0.0.0/8", via = "192.168.30.2" }]';

async function dayAt(kind: Implementation, compat: boolean) {
  await using nat = await NatWorld.open({ plain: true });
  if (kind === "reference") {
    const server = await nat.startReference();
    expect(server).toBeInstanceOf(SoftEtherServer);
    await server.command(`Hub ${HUB}`, REFERENCE_SET);
    // Its host is there a while after it was asked for.
    await nat.dress();
  } else {
    const config = nat.config(`dhcp = { ${OUR_SET}, probe = "0" }`);
    const told = compat ? config.replace("[server]", '[server]\ncompat = ["dhcp"]') : config;
    await VpnServer.start(nat.server, told);
    await nat.dress();
  }
  return await spend(nat.guest);
}

const typeOf = (answer: Answer | "silence" | undefined) =>
  answer === undefined || answer === "silence"
    ? "silence"
    : tryParseDhcp(Uint8Array.fromHex(answer.payload))!.type;

describeSystem("DHCP of SecureNAT, ours and theirs", SOFTETHER_PROGRAMS, () => {
  test("the same messages get the same answers byte by byte with compat = dhcp, and better ones without", async () => {
    const [theirs, plain, ours] = await Promise.all([
      dayAt("reference", false),
      dayAt("ours", true),
      dayAt("ours", false),
    ]);
    expect(plain).toEqual(theirs);
    const kinds = (day: Record<string, Answer | "silence">) =>
      Object.fromEntries(Object.entries(day).map(([name, answer]) => [name, typeOf(answer)]));
    expect(kinds(ours)).toEqual({
      ...kinds(theirs),
      // A host that has chosen another server is not ours to refuse or to serve (RFC 2131 4.3.2).
      "a choice of another server": "silence",
    });
    expect(typeOf(theirs["a choice of another server"])).toBe(DHCP_TYPE.ACK);
    // What was given back is free.
    expect((ours["a wish for what was given back"] as Answer).payload.slice(32, 40)).toBe(
      "c0a81e0a",
    );
  });
});
