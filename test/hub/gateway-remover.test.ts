import { describe, expect, test } from "bun:test";
import { type MacAddress, writeMac } from "../../src/base/mac.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { finishChecksum, sumWords } from "../../src/wire/checksum.ts";
import { toHex } from "../support/hex.ts";
import { bootp, ipv4, lan, mac, udp } from "./frames.ts";
import { World } from "./world.ts";

const OURS = mac(0x77);
const STRANGER = mac(0x78);
const UDP_AT = 14 + 20;
const CHECKSUM_AT = UDP_AT + 6;

const ROUTER = [3, 4, 192, 168, 0, 1];
const TYPE = [53, 1, 5];
const DNS = [6, 4, 192, 168, 0, 1];
/** 10.0.0.0/8 by .2; the default by .1; 10.1.0.0/16 by .3 */
const NET8 = [8, 10, 192, 168, 0, 2];
const DEFAULT = [0, 192, 168, 0, 1];
const NET16 = [16, 10, 1, 192, 168, 0, 3];
const pad = (count: number) => Array<number>(count).fill(0);
const routes = (code: number, ...list: number[][]) => [code, list.flat().length, ...list.flat()];

/** An answer of a DHCP server to `to`, with these options and a right checksum, or none. */
function answer(
  options: number[],
  { to = OURS as number, tags = [] as number[], op = 2, sum = true } = {},
): Uint8Array {
  const message = bootp();
  message[0] = op;
  writeMac(message, 28, to as MacAddress);
  const body = udp(67, 68, Uint8Array.from([...message, ...options, 255]));
  const made = ipv4({ to: mac(2), from: mac(1), tags, ip: lan(1), protocol: 17, body });
  if (!sum) return made;
  const ip = 14 + tags.length * 4;
  const pseudo = sumWords(made, ip + 12, ip + 20, 17 + body.length);
  const value = finishChecksum(sumWords(made, ip + 20, made.length, pseudo)) || 0xffff;
  made.set([value >> 8, value & 0xff], ip + 20 + 6);
  return made;
}

function through(frames: Uint8Array[], RemoveDefGwOnDhcpForLocalhost = 1): string[] {
  const world = new World({ isLocalMac: (address) => address === OURS });
  const options = { ...DEFAULT_HUB_SETTINGS.options, RemoveDefGwOnDhcpForLocalhost };
  world.hub.reconfigure({ ...DEFAULT_HUB_SETTINGS, options });
  const to = world.attach("bridge");
  world.attach("local-bridge").send(...frames);
  return to.take().map(toHex);
}

describe("gatewayRemover()", () => {
  const rows: [string, number[], number[]][] = [
    ["the router", [...TYPE, ...ROUTER, ...DNS], [...TYPE, ...pad(6), ...DNS]],
    [
      "default routes among others",
      [...routes(121, NET8, DEFAULT, NET16), ...DNS],
      [...routes(121, NET8, NET16), ...pad(5), ...DNS],
    ],
    [
      "default routes of the older number",
      [...routes(249, DEFAULT, NET8), ...TYPE],
      [...routes(249, NET8), ...pad(5), ...TYPE],
    ],
    ["a list that is nothing but that", [...routes(121, DEFAULT), ...DNS], [...pad(7), ...DNS]],
    ["everything at an odd place", [0, ...DNS, ...ROUTER], [0, ...DNS, ...pad(6)]],
  ];
  test.each(rows)("takes %s out of an answer to this computer", (_, options, left) => {
    for (const dress of [{}, { tags: [7] }, { sum: false }])
      expect(through([answer(options, dress)])).toEqual([toHex(answer(left, dress))]);
  });

  test("changes only such frames of a run", () => {
    const option = [...TYPE, ...ROUTER];
    const others = [
      answer(option, { to: STRANGER }),
      answer(option, { op: 1 }),
      ipv4({ to: mac(2), from: mac(1), ip: lan(1), protocol: 6, body: new Uint8Array(400) }),
    ];
    const frames = [...others, answer(option), ...others];
    const wanted = [...others, answer([...TYPE, ...pad(6)]), ...others];
    expect(through(frames)).toEqual(wanted.map(toHex));
  });

  test("leaves everything as it is without the option", () => {
    expect(through([answer(ROUTER)], 0)).toEqual([toHex(answer(ROUTER))]);
  });

  test.each([
    ["an option past the end", [...TYPE, 3, 200]],
    ["a list of routes that does not add up", [...routes(121, DEFAULT, [8, 10]), ...DNS]],
    ["a prefix of 33 bits", [...routes(121, DEFAULT, [33, 1, 1, 1, 1, 1, 1, 1, 1, 1]), ...DNS]],
  ])("leaves %s alone", (_, options) => {
    expect(through([answer(options)])).toEqual([toHex(answer(options))]);
    expect(answer(options)[CHECKSUM_AT]).toBeDefined();
  });
});
