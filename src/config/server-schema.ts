import {
  FIRST_REQUEST_MS,
  LOCKOUT_ENFORCE_MS,
  LOCKOUT_MAX_MS,
  LOCKOUT_PENALTY_MS,
  LOCKOUT_USER_FAILURES,
  LOCKOUT_USER_WINDOW_MS,
  LOGIN_MS,
  MAX_NAME_CHARS,
  MAX_PENDING,
  MAX_PENDING_PER_SOURCE,
  MAX_SESSIONS,
  TLS_HANDSHAKE_MS,
} from "../base/limits.ts";
import { checkTaps } from "./bridge-shape.ts";
import { COMPAT_NAMES } from "./compat.ts";
import { hub, type HubEntry } from "./hub-schema.ts";
import { L3_SWITCH_NAMES, l3Switch } from "./l3-switch-shape.ts";
import { listen } from "./listen-shape.ts";
import { serverLog } from "./log-shape.ts";
import { HUB_NAMES } from "./name-rules.ts";
import {
  bool,
  choice,
  duration,
  existingFile,
  integer,
  net,
  path,
  portRange,
  privateKeyFile,
  text,
} from "./scalar-shapes.ts";
import {
  DEFAULT_HUB,
  type HubConfig,
  type ListenAddress,
  type ServerConfig,
  TLS_VERSIONS,
} from "./server-config.ts";
import {
  list,
  type Named,
  named,
  optional,
  refine,
  section,
  setting,
  type Shape,
  table,
  type TableValue,
} from "./shape.ts";

/** The version of the keys that `schema` may name (CF-20). */
export const SCHEMA_VERSION = 1;

/** Consumed by the loader before the rest is read; here so that they are known keys. */
export const fileKeys = {
  schema: optional(integer(1, SCHEMA_VERSION)),
  include: setting(list(text(4096)), []),
};

const DEFAULT_LISTEN: readonly ListenAddress[] = [443, 992, 5555].map((port) => ({
  address: undefined,
  port,
  enable: true,
}));

const tls = refine(
  table({
    cert: optional(existingFile),
    key: optional(privateKeyFile),
    min: setting(choice(...TLS_VERSIONS), "1.2"),
    max: setting(choice(...TLS_VERSIONS), "1.3"),
    ciphers: optional(text(4096)),
  }),
  (value, node, place) => {
    if ((value.cert === undefined) !== (value.key === undefined)) {
      return place.fail(node, '"cert" and "key" go together: name both or none');
    }
    if (value.min > value.max) return place.fail(node, `above "max" (${value.max})`, "min");
    return value;
  },
);

const serverKeys = {
  name: optional(text(MAX_NAME_CHARS)),
  state_dir: optional(path),
  max_sessions: setting(integer(0, MAX_SESSIONS), 0),
  reveal_hubs: setting(bool, false),
  hashed_login: setting(bool, true),
  allow_plaintext: setting(bool, false),
  udp_acceleration: setting(bool, true),
  udp_ports: setting(portRange, { first: 40_000, last: 44_999 }),
  compat: setting(list(choice(...COMPAT_NAMES)), []),
  ntlm_auth: setting(path, "/usr/bin/ntlm_auth"),
  watch: setting(bool, false),
};

const penalty = duration("100ms", "1h");
const lockout = table({
  enable: setting(bool, true),
  penalty: setting(penalty, LOCKOUT_PENALTY_MS),
  enforce_at: setting(duration("100ms", "1d"), LOCKOUT_ENFORCE_MS),
  max: setting(duration("100ms", "1d"), LOCKOUT_MAX_MS),
  user_failures: setting(integer(1, 1_000_000), LOCKOUT_USER_FAILURES),
  user_window: setting(duration("1s", "1d"), LOCKOUT_USER_WINDOW_MS),
  exempt: setting(list(net), []),
});

const deadline = duration("100ms", "10m");
const limits = table({
  connections_per_source: setting(integer(1, 65_535), MAX_PENDING_PER_SOURCE),
  connections: setting(integer(1, 65_535), MAX_PENDING.all),
  tls_handshake: setting(deadline, TLS_HANDSHAKE_MS),
  first_request: setting(deadline, FIRST_REQUEST_MS),
  login: setting(deadline, LOGIN_MS),
});

/** What servers and bridges have alike. `defaultListen` holds where the file names no listener. */
export function serverSections(defaultListen: readonly ListenAddress[]) {
  return {
    ...fileKeys,
    server: section(table({ ...serverKeys, listen: setting(listen, defaultListen) })),
    tls: section(tls),
    log: section(serverLog),
    lockout: section(lockout),
    limits: section(limits),
  };
}

/** All keys of config.toml (config-proposal.md 7.1 to 7.3) whose subject exists. */
export function serverSchema(hostName: string): Shape<ServerConfig> {
  return refine(
    table({
      ...serverSections(DEFAULT_LISTEN),
      hub: setting(named(hub, HUB_NAMES), []),
      l3switch: setting(named(l3Switch, L3_SWITCH_NAMES), []),
    }),
    (value, node, place): ServerConfig | undefined =>
      checkTaps(value.hub, node, place)
        ? {
            ...settingsOf(value, hostName),
            edition: "server",
            hubs: hubsOf(value.hub, value.server),
            l3Switches: value.l3switch.map(({ name, value: one }) => ({ name, ...one })),
          }
        : undefined,
  );
}

type Sections = TableValue<ReturnType<typeof serverSections>>;

/** Sections as the program uses them. */
export function settingsOf(
  value: Sections,
  hostName: string,
): Omit<ServerConfig, "edition" | "hubs" | "l3Switches"> {
  return {
    server: {
      name: value.server.name ?? hostName,
      listen: value.server.listen,
      stateDir: value.server.state_dir,
      maxSessions: value.server.max_sessions,
      revealHubs: value.server.reveal_hubs,
      hashedLogin: value.server.hashed_login,
      allowPlaintext: value.server.allow_plaintext,
      udpAcceleration: value.server.udp_acceleration,
      udpPorts: value.server.udp_ports,
      compat: value.server.compat,
      ntlmAuth: value.server.ntlm_auth,
      watch: value.server.watch,
    },
    tls: value.tls,
    log: value.log,
    lockout: {
      enable: value.lockout.enable,
      penaltyMs: value.lockout.penalty,
      enforceAtMs: value.lockout.enforce_at,
      maxMs: value.lockout.max,
      userFailures: value.lockout.user_failures,
      userWindowMs: value.lockout.user_window,
      exempt: value.lockout.exempt,
    },
    limits: {
      connectionsPerSource: value.limits.connections_per_source,
      connections: value.limits.connections,
      tlsHandshakeMs: value.limits.tls_handshake,
      firstRequestMs: value.limits.first_request,
      loginMs: value.limits.login,
    },
  };
}

function hubsOf(
  entries: readonly Named<HubEntry>[],
  inherited: Sections["server"],
): readonly HubConfig[] {
  const { allow_plaintext: allowPlaintext, hashed_login: hashedLogin } = inherited;
  if (entries.length === 0) return [{ ...DEFAULT_HUB, allowPlaintext, hashedLogin }];
  return entries.map((entry) => hubOf(entry, inherited));
}

/** What a hub does not say for itself is as the server has it. */
export function hubOf(
  { name, value }: Pick<Named<HubEntry>, "name" | "value">,
  inherited: Sections["server"],
): HubConfig {
  return {
    ...value,
    name,
    allowPlaintext: value.allowPlaintext ?? inherited.allow_plaintext,
    hashedLogin: value.hashedLogin ?? inherited.hashed_login,
  };
}
