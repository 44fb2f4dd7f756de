import { describe, expect, test } from "bun:test";
import { loadServerConfig } from "../../src/config/load.ts";
import { formatProblem } from "../../src/config/problem.ts";
import { faultsOf, memoryFiles } from "./fixture.ts";

const PATH = "/etc/vpn/bridge.toml";
const CASCADE = `[bridge.cascade.hq]\nto = "vpn.example:443/office"\nuser = "b"\npassword = "env:PW"\n`;

function readBridge(text: string) {
  const warnings: string[] = [];
  const { config } = loadServerConfig(
    {
      path: PATH,
      env: { PW: "secret" },
      isRoot: true,
      hostName: "host.example",
      files: memoryFiles({ [PATH]: text }),
      warn: (problem) => warnings.push(formatProblem(problem)),
    },
    "bridge",
  );
  return { config, warnings };
}

describe("bridge.toml", () => {
  test("is one hub with an interface and a cascade, and listens for nobody", () => {
    const { config, warnings } = readBridge(`[bridge]\ndevice = "eth1"\n${CASCADE}`);
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({ edition: "bridge", server: { listen: [] } });
    expect(config.hubs.map(({ name }) => name)).toEqual(["BRIDGE"]);
    expect(config.hubs[0]?.bridges).toMatchObject([{ kind: "nic", device: "eth1" }]);
    expect(config.hubs[0]?.cascades).toMatchObject([{ name: "hq" }]);
  });

  test("names a TAP as well, or several interfaces as a hub does", () => {
    const [tap] = readBridge(`[bridge]\ntap = "lan"\n${CASCADE}`).config.hubs;
    expect(tap?.bridges).toMatchObject([{ kind: "tap" }]);
    const several = `${CASCADE}[[bridge.bridge]]\ndevice = "eth1"\n[[bridge.bridge]]\ntap = "lan"\n`;
    expect(readBridge(several).config.hubs[0]?.bridges.length).toBe(2);
  });

  test("leads into its site by SecureNAT as well", () => {
    const { config, warnings } = readBridge(`${CASCADE}[bridge.securenat]\nmtu = 1400\n`);
    expect(config.hubs[0]?.secureNat).toMatchObject({ enable: true, mtu: 1400 });
    expect(warnings).toEqual([]);
  });

  test("warns of a bridge that joins nothing", () => {
    expect(readBridge("").warnings).toEqual([
      expect.stringContaining("the bridge has no interface"),
      expect.stringContaining("the bridge leads nowhere"),
    ]);
  });

  test.each([
    ['[bridge]\ndevice = "eth1"\nbridge = { device = "eth2" }', '"device" stands beside "bridge"'],
    ["[bridge]\ndevice = 3", ": bridge.device: expected"],
    ['[bridge]\ndevice = "eth1"\ntap = "lan"', ": bridge"],
    ["[bridge]\nbridge = { device = 3 }", ": bridge.bridge.device: expected"],
    ["[bridge]\nonlin = true", "bridge.onlin: unknown key"],
    ["[hub.office]", "hub: unknown key"],
  ])("%j is refused", (text, fault) => {
    expect(faultsOf(() => readBridge(text)).join("\n")).toContain(fault);
  });

  test("listens where it is told to", () => {
    const { config } = readBridge('[server]\nlisten = ["127.0.0.1:5555"]');
    expect(config.server.listen).toEqual([{ address: "127.0.0.1", port: 5555, enable: true }]);
  });
});
