import { expect, test } from "bun:test";
import { DEFAULT_HUB_LOG, type HubLogSettings } from "../../src/config/log-settings.ts";
import { NO_PACKETS, type PacketRecord } from "../../src/observe/packet-record.ts";
import type { HubLogBook } from "../../src/observe/server-logs.ts";
import { ANONYMOUS, hub, TestServer, user } from "../support/test-server.ts";

const GUESTS = [user("guest", "", ANONYMOUS)];
const STATS = { written: 0, lost: 0, framesLost: 0, filesRemoved: 0, syslog: undefined };

class Book implements HubLogBook {
  readonly calls: string[] = [];
  readonly records: PacketRecord[] = [];
  readonly stats = STATS;

  openHub(name: string, { security }: HubLogSettings) {
    this.calls.push(`open ${name} ${security}`);
    return {
      isOpen: true,
      put: (record: PacketRecord) => void this.records.push(record),
      lose: () => undefined,
    };
  }

  async closeHub(name: string) {
    this.calls.push(`close ${name}`);
  }
}

function withLog(name: string, log: Partial<HubLogSettings>, online = true) {
  return hub(name, GUESTS, { online, log: { ...DEFAULT_HUB_LOG, ...log } });
}

test("a server opens the logs of its hubs, changes them with the configuration, and closes those of hubs that go", async () => {
  const hubLogs = new Book();
  await using at = await TestServer.start({ hubLogs, hubs: [withLog("A", {}), withLog("B", {})] });
  expect(hubLogs.calls).toEqual(["open A day", "open B day"]);
  await at.server.reload({ ...at.config, hubs: [withLog("A", { security: "hour" })] });
  expect(hubLogs.calls.slice(2)).toEqual(["open A hour", "close B"]);
  expect(at.server.snapshot().logs).toEqual(STATS);
});

test("a change of hub.NAME.log.packet holds for sessions that are there", async () => {
  const hubLogs = new Book();
  const quiet = withLog("A", { packet: NO_PACKETS });
  await using at = await TestServer.start({ hubLogs, hubs: [quiet] });
  const { settings } = at.server.hubs.get("a")!.hub;
  expect(settings.packetLevels).toEqual(NO_PACKETS);
  await at.server.reload({ ...at.config, hubs: [withLog("A", {})] });
  const changed = at.server.hubs.get("a")!.hub;
  expect(changed.settings.packetLevels).toEqual(DEFAULT_HUB_LOG.packet);
});

test("going offline and online, and changes of its settings, are told with the name of the hub", async () => {
  await using at = await TestServer.start({ hubs: [withLog("A", {})] });
  await at.server.reload({ ...at.config, hubs: [withLog("A", {}, false)] });
  await at.server.reload({ ...at.config, hubs: [withLog("A", {})] });
  const told = at.log.lines.filter(
    ({ event, fields }) => event !== "hub_opened" && fields?.["hub"],
  );
  expect(told.map(({ event, text, fields }) => [event, text, fields?.["hub"]])).toEqual([
    ["hub_offline", "Hub A is now offline", "A"],
    ["config_changed", "hub.A changed: online", "A"],
    ["hub_online", "Hub A is now online", "A"],
    ["config_changed", "hub.A changed: online", "A"],
  ]);
});
