import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatAddress, tryParseAddress } from "../../../src/base/ip.ts";
import { MAX_DNS_RESOLVERS } from "../../../src/base/limits.ts";
import type { SocketAddress } from "../../../src/platform/socket-address.ts";
import { HostResolvers, parseResolvConf } from "../../../src/secure-nat/dns/host-resolvers.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "resolvers-"));
  folders.push(folder);
  return join(folder, "resolv.conf");
}

const texts = (servers: readonly SocketAddress[]) =>
  servers.map(({ bytes, port, scope }) => `${formatAddress(bytes)} ${port} ${scope ?? 0}`);

describe("parseResolvConf()", () => {
  test("takes name servers of both families and passes over the rest", () => {
    const text = [
      "# nameserver 192.0.2.9",
      "search example.com",
      "nameserver 192.0.2.1",
      "nameserver\t2001:db8::1 # the other",
      "nameserver fe80::1%7",
      "nameserver fe80::2%no-such-interface",
      "nameserver 127.0.0.53",
      "nameserver 300.0.0.1",
      "nameserver",
      "options edns0",
      " nameserver 192.0.2.8",
    ].join("\n");
    expect(texts(parseResolvConf(text))).toEqual([
      "192.0.2.1 53 0",
      "2001:db8::1 53 0",
      "fe80::1 53 7",
      "127.0.0.53 53 0",
    ]);
  });
});

describe("HostResolvers.current()", () => {
  test("reads the file again when it has changed, and looks once a second at most", () => {
    const path = scratch();
    const clock = new ManualClock();
    writeFileSync(path, "nameserver 192.0.2.1\n");
    const resolvers = new HostResolvers({ clock, configured: [], isOwn: () => false, path });
    expect(texts(resolvers.current())).toEqual(["192.0.2.1 53 0"]);
    const first = resolvers.current();
    writeFileSync(`${path}.new`, "nameserver 192.0.2.2\n");
    renameSync(`${path}.new`, path);
    expect(resolvers.current()).toBe(first);
    clock.advance(1_000);
    expect(texts(resolvers.current())).toEqual(["192.0.2.2 53 0"]);
    const second = resolvers.current();
    clock.advance(1_000);
    expect(resolvers.current()).toBe(second);
    rmSync(path);
    clock.advance(1_000);
    expect(texts(resolvers.current())).toEqual(["127.0.0.1 53 0"]);
    writeFileSync(path, "search example.com\n");
    clock.advance(1_000);
    expect(texts(resolvers.current())).toEqual(["127.0.0.1 53 0"]);
  });

  test("keeps to those of the configuration, and never to the virtual host itself", () => {
    const path = scratch();
    writeFileSync(path, "nameserver 192.168.30.1\nnameserver 192.0.2.1\n");
    const isOwn = ({ bytes }: { bytes: Uint8Array }) => formatAddress(bytes) === "192.168.30.1";
    const clock = new ManualClock();
    const own = new HostResolvers({ clock, configured: [], isOwn, path });
    expect(texts(own.current())).toEqual(["192.0.2.1 53 0"]);
    const configured = ["192.168.30.1", "192.0.2.7"].map((text) => tryParseAddress(text)!);
    const named = new HostResolvers({ clock, configured, isOwn, path });
    expect(texts(named.current())).toEqual(["192.0.2.7 53 0"]);
    named.reconfigure([]);
    expect(texts(named.current())).toEqual(["192.0.2.1 53 0"]);
    named.reconfigure([tryParseAddress("192.0.2.8")!]);
    expect(texts(named.current())).toEqual(["192.0.2.8 53 0"]);
    const many = Array.from({ length: 20 }, (_, n) => tryParseAddress(`192.0.2.${n}`)!);
    const bounded = new HostResolvers({ clock, configured: many, isOwn, path });
    expect(bounded.current().length).toBe(MAX_DNS_RESOLVERS);
  });
});
