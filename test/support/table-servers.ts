import { POLICY_ITEMS, type PolicyKey } from "../../src/config/policy.ts";
import type { CompatName } from "../../src/config/compat.ts";
import type { IpSnapshot, MacSnapshot } from "../../src/server/hub-tables.ts";
import type { Namespace } from "./namespace.ts";
import { SoftEtherServer } from "./softether.ts";
import { HUB } from "./tunnel-server.ts";
import { secretFile, VpnServer } from "./vpn.ts";

// A server of either kind with users whose policies rest on the tables of their hub, and what these hold.

/** Of all users. */
export const TABLE_PASSWORD = "as you like it";

const USERS: Readonly<Record<string, Partial<Record<PolicyKey, boolean>>>> = {
  free: {},
  checked: { check_ip: true, check_ipv6: true },
  forced: { dhcp_force: true },
  client: {},
  other: {},
};
export const TABLE_USERS = Object.keys(USERS);

/** Rows in one form for both kinds, sorted: `user mac vlan`, `user address` or `user address (DHCP)`. */
export interface Tables {
  readonly macs: readonly string[];
  readonly ips: readonly string[];
}

/** SID-ALICE-7 is alice's. */
const userOf = (session: string) => session.split("-")[1]!.toLowerCase();

export interface TableServer {
  tables(): Promise<Tables>;
}

const KEYS = Object.entries(USERS).map(
  ([user, policy]) => [user, { no_broadcast_limiter: true, ...policy }] as const,
);

/** With improvements switched off, if told so. */
export async function startOurs(
  at: Namespace,
  compat: readonly CompatName[] = [],
): Promise<TableServer> {
  const password = `password = "file:${secretFile(at, "all", TABLE_PASSWORD)}"`;
  const users = KEYS.map(([user, policy]) => {
    const items = Object.entries(policy).map(([key, value]) => `${key} = ${value}`);
    return `[hub.${HUB}.user.${user}]\n${password}\npolicy = { ${items.join(", ")} }\n`;
  });
  const settings = `[server]\nlisten = [5555]\ncompat = ${JSON.stringify(compat)}`;
  const config = [settings, `[hub.${HUB}]`, ...users].join("\n");
  const server = await VpnServer.start(at, config);
  const rows = async (table: string) => {
    const { stdout } = await server.command("hub", table, HUB, "--json");
    return JSON.parse(stdout) as unknown;
  };
  return {
    tables: async () => ({
      macs: ((await rows("mac")) as MacSnapshot[])
        .map(({ session, mac: address, vlan }) => `${userOf(session)} ${address} ${vlan}`)
        .sort(),
      ips: ((await rows("ip")) as IpSnapshot[])
        .map(
          ({ session, address, dhcp }) => `${userOf(session)} ${address}${dhcp ? " (DHCP)" : ""}`,
        )
        .sort(),
    }),
  };
}

export async function startReference(at: Namespace): Promise<TableServer> {
  const server = await SoftEtherServer.start(at);
  await server.createHub(
    HUB,
    Object.fromEntries(TABLE_USERS.map((user) => [user, `"${TABLE_PASSWORD}"`])),
  );
  const wire = new Map<string, string>(POLICY_ITEMS.map(({ key, wire: name }) => [key, name]));
  const lines = KEYS.flatMap(([user, policy]) =>
    Object.keys(policy).map((key) => `UserPolicySet ${user} /NAME:${wire.get(key)} /VALUE:yes`),
  );
  await server.command(`Hub ${HUB}`, ...lines);
  return {
    tables: async () => ({
      macs: (await server.table(HUB, "MacTable"))
        .map((row) => {
          const address = row["MAC Address"]!.replaceAll("-", ":").toLowerCase();
          return `${userOf(row["Session Name"]!)} ${address} ${Number(row["VLAN ID"]) || 0}`;
        })
        .sort(),
      ips: (await server.table(HUB, "IpTable"))
        .map((row) => `${userOf(row["Session Name"]!)} ${row["IP Address"]}`)
        .sort(),
    }),
  };
}
