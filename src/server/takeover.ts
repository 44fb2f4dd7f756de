import type { HubHost } from "./hub-host.ts";
import type { OpenSession } from "./stay.ts";

/**
 * Whoever logs in anew on the same machine has his MACs and addresses back at once: a session that lost its client
 * holds them until its timeout, and CheckMac and CheckIP would keep the new one from them (hub.md 5.7). To be called
 * when he has proved who he is; sessions of other users, and of clients that do not tell which machine they are on,
 * keep theirs.
 */
export function takeOver(host: HubHost, heir: OpenSession): void {
  const { installation } = heir.request;
  const isNamed = installation.some((octet) => octet !== 0);
  if (!isNamed || heir.mode === "monitor" || host.hub.settings.compat.has("session-end")) return;
  const user = heir.user.toLowerCase();
  for (const other of host.sessions.values()) {
    const isPredecessor =
      other !== heir &&
      other.user.toLowerCase() === user &&
      Buffer.compare(other.request.installation, installation) === 0;
    if (isPredecessor) host.hub.handOver(other.port, heir.port);
  }
}
