import { LOG_LEVELS } from "../observe/log.ts";
import { CLIENT_COMMANDS } from "./client-catalog.ts";
import { choice, command, group, toggle, value, type CommandTable } from "./definition.ts";
import { parseAnyMac, parseHostAddress, parseInteger, parseText } from "./flag.ts";

// Every command of the program, with its flags and examples.

const json = toggle("answer in JSON, errors included");
const config = value("FILE", "configuration file", parseText);
const stateDir = value("DIR", "state directory", parseText);
const logFormat = choice("form of log lines", "text", "json");
const logLevel = choice("least level of log lines", ...LOG_LEVELS);

export const SERVER_FLAGS = {
  config,
  stateDir,
  logFormat,
  logLevel,
  unit: toggle("print the unit for systemd, and run nothing"),
  json,
};

/** For commands that ask the running server. */
const bridge = toggle("the bridge of this machine instead of the server");
export const ASK_FLAGS = { config, stateDir, bridge, json };

const HUB_ARGS = [{ placeholder: "HUB", brief: "virtual hub", isOptional: false }] as const;
export const HUB_MAC_FLAGS = {
  ...ASK_FLAGS,
  delete: value("MAC", "forget this address, until its next frame", parseAnyMac),
  vlan: value("N", "in this VLAN", parseInteger("a VLAN id", 1, 4095)),
};
export const HUB_IP_FLAGS = {
  ...ASK_FLAGS,
  delete: value("ADDRESS", "forget this address, until its next frame", parseHostAddress),
};

const CASCADE_ARGS = [
  { placeholder: "HUB", brief: "virtual hub of this server", isOptional: false },
  { placeholder: "NAME", brief: "cascade", isOptional: false },
] as const;
const L3_ARGS = [{ placeholder: "NAME", brief: "layer 3 switch", isOptional: false }] as const;

export const CHECK_FLAGS = { bridge: toggle("the file is that of a bridge"), json };

export const TOTP_FLAGS = { config, json };

export const PASSWD_FLAGS = {
  hash: choice(
    "for stock clients, or slower to guess and for plain logins only",
    "sha0",
    "argon2id",
  ),
  passwordFile: value("FILE", 'file with the password, "-" for standard input', parseText),
  json,
};

export const COMMANDS: CommandTable = {
  server: command("Run the VPN server", {
    flags: SERVER_FLAGS,
    examples: [
      "vpn server --config config.toml",
      "vpn server --state-dir /srv/vpn --log-format json",
      "vpn server --unit > /etc/systemd/system/vpn-server.service",
    ],
    load: async () => (await import("./server.ts")).runServer,
  }),
  bridge: command("Join an interface of this machine to a hub elsewhere", {
    flags: SERVER_FLAGS,
    examples: [
      "vpn bridge --config bridge.toml",
      "vpn bridge --unit > /etc/systemd/system/vpn-bridge.service",
    ],
    load: async () => (await import("./server.ts")).runBridge,
  }),
  client: CLIENT_COMMANDS,
  status: command("Show the running server", {
    flags: ASK_FLAGS,
    examples: ["vpn status", "vpn status --json", "vpn status --bridge"],
    load: async () => (await import("./server-status.ts")).status,
  }),
  session: group("Sessions of the running server", {
    list: command("List the sessions of all hubs, or of one", {
      flags: ASK_FLAGS,
      args: [{ placeholder: "HUB", brief: "only this hub", isOptional: true }],
      examples: ["vpn session list", "vpn session list office --json"],
      load: async () => (await import("./server-status.ts")).sessionList,
    }),
  }),
  mac: group("MAC addresses that the running server has learned", {
    list: command("List the MAC tables of all hubs, or of one", {
      flags: ASK_FLAGS,
      args: [{ placeholder: "HUB", brief: "only this hub", isOptional: true }],
      examples: ["vpn mac list", "vpn mac list office --json"],
      load: async () => (await import("./server-status.ts")).macList,
    }),
  }),
  hub: group("Who is in a hub of the running server", {
    sessions: command("List the sessions of a hub, those of the server itself included", {
      flags: ASK_FLAGS,
      args: HUB_ARGS,
      examples: ["vpn hub sessions office", "vpn hub sessions office --json"],
      load: async () => (await import("./hub-tables.ts")).hubSessions,
    }),
    users: command("List the users of a hub, with their logins and traffic so far", {
      flags: ASK_FLAGS,
      args: HUB_ARGS,
      examples: ["vpn hub users office", "vpn hub users office --json"],
      load: async () => (await import("./hub-users.ts")).hubUsers,
    }),
    mac: command("List the MAC table of a hub, or delete an entry", {
      flags: HUB_MAC_FLAGS,
      args: HUB_ARGS,
      examples: [
        "vpn hub mac office",
        "vpn hub mac office --json",
        "vpn hub mac office --delete 5e:00:53:00:00:01 --vlan 200",
      ],
      load: async () => (await import("./hub-tables.ts")).hubMac,
    }),
    ip: command("List the IP table of a hub, or delete an entry", {
      flags: HUB_IP_FLAGS,
      args: HUB_ARGS,
      examples: [
        "vpn hub ip office",
        "vpn hub ip office --json",
        "vpn hub ip office --delete 192.168.30.20",
      ],
      load: async () => (await import("./hub-tables.ts")).hubIp,
    }),
  }),
  cascade: group("Cascades of the running server, which join a hub to one of another server", {
    list: command("List the cascades of all hubs, or of one", {
      flags: ASK_FLAGS,
      args: [{ placeholder: "HUB", brief: "only this hub", isOptional: true }],
      examples: ["vpn cascade list", "vpn cascade list home --json"],
      load: async () => (await import("./cascade.ts")).cascadeList,
    }),
    status: command("Show how a cascade stands, and its session at the other server", {
      flags: ASK_FLAGS,
      args: CASCADE_ARGS,
      examples: ["vpn cascade status home branch", "vpn cascade status home branch --json"],
      load: async () => (await import("./cascade.ts")).cascadeShow,
    }),
    online: command("Put a cascade online, whatever the file says, until its table there changes", {
      flags: ASK_FLAGS,
      args: CASCADE_ARGS,
      examples: ["vpn cascade online home branch"],
      load: async () => (await import("./cascade.ts")).cascadeOnline,
    }),
    offline: command(
      "Put a cascade offline, whatever the file says, until its table there changes",
      {
        flags: ASK_FLAGS,
        args: CASCADE_ARGS,
        examples: ["vpn cascade offline home branch"],
        load: async () => (await import("./cascade.ts")).cascadeOffline,
      },
    ),
  }),
  nat: group("SecureNAT of a hub of the running server", {
    status: command("Show how SecureNAT stands", {
      flags: ASK_FLAGS,
      args: HUB_ARGS,
      examples: ["vpn nat status guest", "vpn nat status guest --json"],
      load: async () => (await import("./nat.ts")).natStatus,
    }),
    table: command("List the NAT table: who speaks with whom", {
      flags: ASK_FLAGS,
      args: HUB_ARGS,
      examples: ["vpn nat table guest", "vpn nat table guest --json"],
      load: async () => (await import("./nat.ts")).natTable,
    }),
    leases: command("List the addresses that the DHCP server has given", {
      flags: ASK_FLAGS,
      args: HUB_ARGS,
      examples: ["vpn nat leases guest", "vpn nat leases guest --json"],
      load: async () => (await import("./nat.ts")).natLeases,
    }),
    delete: command("End a NAT entry, or take back a lease", {
      flags: ASK_FLAGS,
      args: [
        ...HUB_ARGS,
        {
          placeholder: "ENTRY",
          brief: "number of a NAT entry, or address of a lease",
          isOptional: false,
        },
      ],
      examples: ["vpn nat delete guest 17", "vpn nat delete guest 192.168.30.10"],
      load: async () => (await import("./nat.ts")).natDelete,
    }),
  }),
  l3: group("Layer 3 switches of the running server, which route between its hubs", {
    list: command("List the layer 3 switches", {
      flags: ASK_FLAGS,
      examples: ["vpn l3 list", "vpn l3 list --json"],
      load: async () => (await import("./l3.ts")).l3List,
    }),
    show: command("Show the interfaces, routes and neighbours of a switch, and what it drops", {
      flags: ASK_FLAGS,
      args: L3_ARGS,
      examples: ["vpn l3 show core", "vpn l3 show core --json"],
      load: async () => (await import("./l3.ts")).l3Show,
    }),
    start: command("Start a switch, whatever the file says, until its table there changes", {
      flags: ASK_FLAGS,
      args: L3_ARGS,
      examples: ["vpn l3 start core"],
      load: async () => (await import("./l3.ts")).l3Start,
    }),
    stop: command("Stop a switch, whatever the file says, until its table there changes", {
      flags: ASK_FLAGS,
      args: L3_ARGS,
      examples: ["vpn l3 stop core"],
      load: async () => (await import("./l3.ts")).l3Stop,
    }),
  }),
  reload: command("Let the running server read its configuration again", {
    flags: ASK_FLAGS,
    examples: ["vpn reload", "vpn reload --state-dir /srv/vpn"],
    load: async () => (await import("./server-status.ts")).reload,
  }),
  config: group("Configuration files", {
    check: command("Check a configuration file and name every fault in it", {
      flags: CHECK_FLAGS,
      args: [{ placeholder: "FILE", brief: "instead of the default place", isOptional: true }],
      examples: ["vpn config check config.toml", "vpn config check --bridge bridge.toml"],
      load: async () => (await import("./config.ts")).check,
    }),
  }),
  user: group("Users of hubs", {
    totp: command("Print the secret of a user's one-time codes, with a picture for the telephone", {
      flags: TOTP_FLAGS,
      args: [
        { placeholder: "HUB", brief: "virtual hub", isOptional: false },
        { placeholder: "USER", brief: "user name", isOptional: false },
      ],
      examples: [
        "vpn user totp home alice",
        "vpn user totp home alice --config config.toml --json",
      ],
      load: async () => (await import("./user-totp.ts")).userTotp,
    }),
  }),
  passwd: command("Print the hash of a user's password for config.toml", {
    flags: PASSWD_FLAGS,
    args: [
      { placeholder: "USER", brief: "user name, which is part of the hash", isOptional: false },
    ],
    examples: [
      "vpn passwd alice",
      "vpn passwd alice --hash argon2id",
      "vpn passwd alice --password-file - < secret.txt",
    ],
    load: async () => (await import("./passwd.ts")).passwd,
  }),
  help: command("Read a chapter of the documentation", {
    flags: {},
    args: [{ placeholder: "TOPIC", brief: "without one: the list of them", isOptional: true }],
    examples: ["vpn help", "vpn help security"],
    load: async () => (await import("./help.ts")).help,
  }),
};
