import { describe, expect, test } from "bun:test";
import { tryParseRemote, tryParseServerAddress } from "../../src/config/remote.ts";

describe("tryParseServerAddress()", () => {
  test.each([
    ["vpn.example.com", "vpn.example.com", 443],
    ["büro.example:992", "büro.example", 992],
    ["192.0.2.1:1", "192.0.2.1", 1],
    ["[2001:db8::1]", "2001:db8::1", 443],
    ["[::ffff:192.0.2.1]:65535", "::ffff:192.0.2.1", 65_535],
  ])("takes %s", (text, host, port) => {
    expect(tryParseServerAddress(text)).toEqual({ host, port });
  });

  test.each([
    "",
    ":443",
    "h:",
    "h:0",
    "h:65536",
    "h:1e3",
    "2001:db8::1",
    "[2001:db8::1",
    "[h]",
    "[]:1",
    "a b",
    "u@h",
    "h/x",
    `${"x".repeat(254)}`,
  ])("refuses %j", (text) => {
    expect(tryParseServerAddress(text)).toBeUndefined();
  });
});

test("tryParseRemote() splits at the first slash, since a hub's name may hold others", () => {
  expect(tryParseRemote("h:992/a/b")).toEqual({ host: "h", port: 992, hub: "a/b" });
  expect(tryParseRemote("h")).toBeUndefined();
  expect(tryParseRemote("h/")).toBeUndefined();
});
