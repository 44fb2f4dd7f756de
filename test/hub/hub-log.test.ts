import { describe, expect, test } from "bun:test";
import { DROP } from "../../src/hub/drop-reason.ts";
import { HubLog } from "../../src/hub/hub-log.ts";
import type { LogFields } from "../../src/observe/log.ts";
import { DEFAULT_HUB_OPTIONS } from "../../src/config/hub-options.ts";
import { mac } from "./frames.ts";

function recorder() {
  const lines: [string, LogFields | undefined][] = [];
  const put = (event: string, _text: string, fields?: LogFields) =>
    void lines.push([event, fields]);
  return { lines, log: new HubLog("H", { debug: put, info: put, warn: put, error: put }) };
}

describe("HubLog", () => {
  test("writes ten lines of a kind a minute and tells how many it left out", () => {
    const { lines, log } = recorder();
    for (let i = 0; i < 25; i += 1) log.refused(DROP.mac_limit, "p", mac(i), i);
    log.refused(DROP.ip_limit, "p", mac(1), 30);
    expect(lines.map(([event]) => event)).toEqual([...Array(10).fill("mac_limit"), "ip_limit"]);
    log.refused(DROP.mac_limit, "p", mac(1), 60_000);
    expect(lines.at(-1)).toEqual([
      "mac_limit",
      { hub: "H", port: "p", mac: "02:00:00:00:00:01", suppressed: 15 },
    ]);
    log.refused(DROP.mac_limit, "p", mac(1), 60_001);
    expect(lines.at(-1)![1]!.suppressed).toBeUndefined();
  });

  test("says nothing about frames that are merely bad", () => {
    const { lines, log } = recorder();
    for (const code of [DROP.frame_length, DROP.src_mac, DROP.queue_full, DROP.same_port])
      log.refused(code, "p", mac(1), 0);
    expect(lines).toEqual([]);
  });

  test("tells who lost a MAC to whom", () => {
    const { lines, log } = recorder();
    log.moved(mac(1), 200, "a", "b", 0);
    expect(lines).toEqual([
      [
        "mac_moved",
        {
          hub: "H",
          mac: "02:00:00:00:00:01",
          vlan: 200,
          from: "a",
          to: "b",
          suppressed: undefined,
        },
      ],
    ]);
  });

  test("leased() and registered() keep a trail that lines about refusals would not", () => {
    const { lines, log } = recorder();
    log.configure({ ...DEFAULT_HUB_OPTIONS, NoMacAddressLog: 0 });
    for (let n = 0; n < 700; n += 1) log.registered(mac(n), 0, "p", n);
    for (let n = 0; n < 700; n += 1) log.refused(DROP.mac_limit, "p", mac(n), n);
    const count = (event: string) => lines.filter(([one]) => one === event).length;
    expect([count("mac_registered"), count("mac_limit")]).toEqual([600, 10]);
  });
});
