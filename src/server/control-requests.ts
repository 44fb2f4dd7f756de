import type { ControlRequests } from "./control-socket.ts";
import { usersOf } from "./hub-users.ts";
import { natRequests } from "./nat-requests.ts";
import type { Server } from "./server.ts";

/** What the control socket of a server asks of it. Reading its configuration again is its owner's to do. */
export function controlRequests(
  server: Server,
  reload: ControlRequests["reload"],
): ControlRequests {
  return {
    snapshot: () => server.snapshot(),
    reload,
    setCascadeOnline: (hub, name, online) => server.setCascadeOnline(hub, name, online),
    l3Switch: (name) => server.l3Switch(name),
    setL3SwitchRunning: (name, running) => server.setL3SwitchRunning(name, running),
    removeEntry: (hub, entry) => server.removeEntry(hub, entry),
    users: (hub) => usersOf(server.hubs, hub),
    nat: natRequests(server.hubs),
  };
}
