import { describe, expect, test } from "bun:test";
import { CaptureFilter, pointAt } from "../../../src/client/capture/filter.ts";
import { FilterError } from "../../../src/client/capture/filter-token.ts";
import { ether, mixedFrames } from "./mixed-frames.ts";

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const passes = (filter: string, frame: Uint8Array) =>
  new CaptureFilter(filter).matches(viewOf(frame), 0, frame.length);

function faultOf(text: string): FilterError {
  try {
    void new CaptureFilter(text);
  } catch (error) {
    if (error instanceof FilterError) return error;
    throw error;
  }
  throw new Error(`${text} was taken`);
}

describe("CaptureFilter", () => {
  const frames = mixedFrames();
  const count = (filter: string) => {
    const compiled = new CaptureFilter(filter);
    return frames.filter((frame) => compiled.matches(viewOf(frame), 0, frame.length)).length;
  };

  test("matches() reads the frame where it lies, and nothing around it", () => {
    const frame = ether("5e:00:53:00:00:01", "5e:00:53:00:00:02", 0x0806, Array(28).fill(0));
    const run = new Uint8Array(100 + frame.length + 100).fill(0x08);
    run.set(frame, 100);
    const filter = new CaptureFilter("arp");
    expect(filter.matches(viewOf(run), 100, frame.length)).toBe(true);
    expect(filter.matches(viewOf(run), 101, frame.length)).toBe(false);
    filter.release();
    expect(filter.matches(viewOf(run), 100, frame.length)).toBe(true);
  });

  test("matches() lets nothing pass that is too short to tell, negated or not", () => {
    const cut = frames.find((frame) => frame.length === 20 && frame[12] === 8)!;
    expect(passes("tcp", cut)).toBe(false);
    expect(passes("not tcp", cut)).toBe(false);
    expect(passes("ip", cut)).toBe(true);
  });

  test("and, or bind alike and to the left, not binds more", () => {
    const only = (text: string, other: string) => expect(count(text)).toBe(count(other));
    only("tcp or udp and port 53", "(tcp or udp) and port 53");
    only("not tcp and ip", "(not tcp) and ip");
    only("port 80 or 443", "port 80 or port 443");
    only("src or dst port 22", "src port 22 or dst port 22");
    expect(count("tcp or (udp and port 53)")).toBeGreaterThan(count("tcp or udp and port 53"));
  });

  test("vlan moves what is asked after it, and that only", () => {
    expect(count("vlan 10 and tcp")).toBeGreaterThan(0);
    expect(count("tcp and vlan 10")).toBe(0);
    expect(count("vlan 100 and vlan 10 and arp")).toBe(1);
  });

  test.each([
    ["", 1, "says nothing"],
    ["tcp and", 8, "what is wanted, found the end"],
    ["(tcp or udp", 12, '")"'],
    ["tcp udp", 5, "an address"],
    ["tcp)", 4, '"and", "or" or the end'],
    ["port http", 6, 'a port from 0 to 65535, found "http"'],
    ["port 65536", 6, "0 to 65535"],
    ["tcp port 80-90", 10, "a port"],
    ["portrange 80", 11, "two ports"],
    ["host example.com", 6, "an IPv4 or IPv6 address"],
    ["host 10.1.2", 6, "an IPv4 or IPv6 address"],
    ["tcp host 10.1.2.3", 10, 'does not go with "tcp"'],
    ["ip host fd00::1", 9, 'does not go with "ip"'],
    ["net 10.1.2.3/8", 5, "bits beyond the mask"],
    ["net 10.0.0.0/33", 5, "a network"],
    ["host 5e:00:53:00:00:01", 6, "ether host"],
    ["ether host 10.1.2.3", 12, "a MAC address"],
    ["vlan 4096", 6, "0 to 4095"],
    ["ether proto 38", 13, "a type"],
    ["tcp[13] & 2 != 0", 4, "compare no bytes"],
    ["10.1.2.3", 1, '"host"'],
    ["tcp and 80", 9, '"host"'],
    ["ip broadcast", 4, "ether broadcast"],
    ["foo", 1, "a word such as"],
    ["port 80 or \u00e9", 12, "a character"],
  ] as const)("CL-09 refuses %p at column %d", (text, column, words) => {
    const fault = faultOf(text);
    expect(fault.message).toContain(words);
    expect(fault.column).toBe(column);
  });

  test("refuses what is too long or too deep", () => {
    expect(faultOf(`${"(".repeat(70)}tcp`)).toMatchObject({ column: 65 });
    expect(faultOf(`tcp or ${"udp or ".repeat(1000)}tcp`)).toMatchObject({ column: 4097 });
  });

  test("pointAt() puts a caret below the column", () => {
    const text = "tcp port\u0007abc or host x";
    expect(pointAt("tcp port abc", faultOf("tcp port abc"))).toBe("  tcp port abc\n           ^\n");
    expect(pointAt(text, new FilterError("x", 10))).toBe(
      "  tcp port?abc or host x\n           ^\n",
    );
  });
});
