import { describe, expect, test } from "bun:test";
import { tryReadMldQuery } from "../../src/wire/mld.ts";
import { fromHex } from "../support/hex.ts";

/** A query with this response code, for a group of its own version. */
const query = (code: string, bytes: number) => fromHex(`82000000${code}`.padEnd(2 * bytes, "0"));

describe("tryReadMldQuery()", () => {
  test("reads the milliseconds of both versions (RFC 2710 3.4, RFC 3810 5.1.3)", () => {
    expect(tryReadMldQuery(query("03e8", 24))).toBe(1_000);
    expect(tryReadMldQuery(query("2710", 28))).toBe(10_000);
    expect(tryReadMldQuery(query("8000", 24))).toBe(32_768);
    expect(tryReadMldQuery(query("8000", 28))).toBe(0x1000 << 3);
    expect(tryReadMldQuery(query("ffff", 28))).toBe(0x1fff << 10);
  });

  test("refuses what is short, of another type or code", () => {
    expect(tryReadMldQuery(query("03e8", 23))).toBeUndefined();
    expect(tryReadMldQuery(fromHex("83".padEnd(48, "0")))).toBeUndefined();
    expect(tryReadMldQuery(fromHex("8201".padEnd(48, "0")))).toBeUndefined();
  });
});
