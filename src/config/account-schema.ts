import { type AccountConfig, DEFAULT_ACCOUNT, DEFAULT_WISHES } from "./client-config.ts";
import { dialKeys, dialSettingsOf } from "./dial-keys.ts";
import { MAX_NAME_CHARS } from "../base/limits.ts";
import { bool, choice, duration, integer, net, text } from "./scalar-shapes.ts";
import { list, oneOf, optional, refine, setting, type Shape, table } from "./shape.ts";

/** An account of client.toml (config-proposal.md 7.4, rows marked a, and 7.6). */
export const account: Shape<Omit<AccountConfig, "name">> = refine(
  table({
    ...dialKeys(DEFAULT_WISHES.connections),
    nic: optional(text(MAX_NAME_CHARS)),
    mode: setting(choice("client", "bridge", "monitor"), "client"),
    retry: setting(retries(), "forever"),
    retry_interval: setting(duration("100ms", "1h"), DEFAULT_ACCOUNT.retryIntervalMs),
    autostart: setting(bool, false),
    default_route: setting(bool, false),
    dns: setting(bool, false),
    routes: setting(list(net), []),
    kill_switch: setting(bool, false),
  }),
  (value, node, place) => {
    const { mode, nic, retry, autostart, dns, routes } = value;
    const dialing = dialSettingsOf(value, node, place, "account");
    if (value.default_route && routes.length > 0) {
      return place.fail(node, '"routes" and "default_route" exclude each other', "routes");
    }
    if (dialing === undefined) return undefined;
    return {
      ...dialing,
      nic,
      mode,
      retry,
      retryIntervalMs: value.retry_interval,
      autostart,
      defaultRoute: value.default_route,
      dns,
      routes,
      killSwitch: value.kill_switch,
    };
  },
);

function retries(): Shape<number | "forever"> {
  const expects = 'a whole number from 0 to 1000000, or "forever"';
  return oneOf<number | "forever">(expects, {
    integer: integer(0, 1_000_000),
    string: choice("forever"),
  });
}
