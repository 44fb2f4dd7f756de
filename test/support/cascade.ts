import type { CascadeStatus } from "../../src/cascade/cascade-status.ts";
import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";
import { GOOD, HUB, SERVER_FROM } from "./tunnel.ts";
import { secretFile, VpnClient, VpnServer } from "./vpn.ts";

// Our hub dials out: near is a server of ours on the left with a station of its own, far the server in the middle of a
// site, ours or the reference.

export const NEAR = "HOME";
export const LINK = "far";
export const STATION = { user: "station", password: "station pass" } as const;
export const FAR = `${SERVER_FROM.left}:5555`;

/** A hub with a station and perhaps with a cascade, whose keys are given as text. */
export function hubText(at: Namespace, name: string, cascade: string, online = true): string {
  const password = secretFile(at, STATION.user, STATION.password);
  const table = cascade === "" ? "" : `[hub.${name}.cascade.${LINK}]\n${cascade}\n`;
  return [
    `[hub.${name}]\nonline = ${online}`,
    `[hub.${name}.user.${STATION.user}]\npassword = "file:${password}"`,
    table,
  ].join("\n");
}

export const nearText = (...hubs: string[]) => ["[server]\nlisten = [5555]", ...hubs].join("\n");

/** Keys of the cascade that all tests begin with; `verify` is off where the reference's certificate is another one. */
export function linkText(at: Namespace, ...more: string[]): string {
  const password = secretFile(at, "link", GOOD.password);
  return [
    `to = "${FAR}/${HUB}"`,
    `user = "${GOOD.user}"`,
    `password = "file:${password}"`,
    ...more,
  ].join("\n");
}

export async function cascadeOf(near: VpnServer, hub = NEAR): Promise<CascadeStatus> {
  const finished = await near.command("cascade", "status", hub, LINK, "--json");
  if (finished.exitCode !== 0) throw new Error(finished.stderr);
  return JSON.parse(finished.stdout) as CascadeStatus;
}

/** Until the cascade says so. */
export async function waitStatus(
  near: VpnServer,
  status: string | RegExp,
  { hub = NEAR, deadlineMs = 20_000 } = {},
): Promise<CascadeStatus> {
  let last: CascadeStatus | undefined;
  return until(
    `cascade of ${hub}: ${status}`,
    async () => {
      last = await cascadeOf(near, hub);
      const isSo = typeof status === "string" ? last.status === status : status.test(last.status);
      return isSo ? last : undefined;
    },
    {
      deadlineMs,
      everyMs: 100,
      explain: () => `${JSON.stringify(last)}\n${near.stderr.slice(-10).join("\n")}`,
    },
  );
}

/** A client of the near hub, in the near server's own namespace. */
export async function startStation(near: VpnServer, address = "none"): Promise<VpnClient> {
  const client = VpnClient.start(near.at, {
    server: "127.0.0.1:5555",
    hub: NEAR,
    address,
    ...STATION,
  });
  await client.waitConnected();
  return client;
}
