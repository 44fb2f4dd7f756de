import { describe, expect, test } from "bun:test";
import { tryParseAddress } from "../../src/base/ip.ts";
import { MAX_NAT_LINES_PER_MINUTE } from "../../src/base/limits.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import type { Flow, FlowEnds } from "../../src/secure-nat/flow.ts";
import { NatLog } from "../../src/server/nat-log.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recordingLog } from "../support/test-server.ts";

const ENDS: FlowEnds = {
  protocol: "tcp",
  inner: tryParseAddress("192.168.30.10")!,
  innerPort: 40_000,
  outer: tryParseAddress("203.0.113.2")!,
  outerPort: 443,
};
const MAC = 0x0200_0000_0001 as MacAddress;

function world() {
  const clock = new ManualClock();
  const log = recordingLog();
  return { clock, log, natLog: new NatLog("office", { clock, log }) };
}

describe("NatLog", () => {
  test("tells who opened what to whom, and what passed", () => {
    const { clock, log, natLog } = world();
    natLog.began(1, ENDS, MAC);
    const created = clock.now();
    clock.advance(5_000);
    const info = { created, lastUsed: created, bytesOut: 10, bytesIn: 2000 };
    natLog.finished(1, { ends: ENDS, info } as Flow);
    const who = {
      hub: "office",
      id: 1,
      protocol: "tcp",
      from: "192.168.30.10",
      from_port: 40_000,
      to: "203.0.113.2",
      to_port: 443,
    };
    expect(log.lines).toMatchObject([
      { event: "nat_entry_created", fields: { ...who, mac: "02:00:00:00:00:01" } },
      { event: "nat_entry_deleted", fields: { ...who, sent: 10, received: 2000, seconds: 5 } },
    ]);
  });

  test("switched off tells of start and end alone, and warnings pass", () => {
    const { log, natLog } = world();
    natLog.isOn = false;
    natLog.started("SID-SECURENAT-1");
    natLog.began(1, ENDS, MAC);
    natLog.log.info("nat_lease_given", "A host has been given an address", { hub: "office" });
    natLog.log.warn("nat_pool_exhausted", "No address is free", { hub: "office" });
    natLog.stopped("SID-SECURENAT-1");
    const events = ["nat_started", "nat_pool_exhausted", "nat_stopped"];
    expect(log.lines.map(({ event }) => event)).toEqual(events);
  });

  test("is bounded in a minute, and counts what it left out", () => {
    const { clock, log, natLog } = world();
    for (let id = 1; id <= MAX_NAT_LINES_PER_MINUTE + 3; id += 1) natLog.began(id, ENDS, MAC);
    expect(log.lines.length).toBe(MAX_NAT_LINES_PER_MINUTE);
    clock.advance(60_000);
    natLog.began(1, ENDS, MAC);
    expect(log.lines.at(-1)!.fields).toMatchObject({ suppressed: 3 });
  });
});
