import { LOG_LEVELS } from "../observe/log.ts";
import { CLIENT_COMMANDS } from "./client-catalog.ts";
import { choice, command, group, toggle, value, type CommandTable } from "./definition.ts";
import { parseText } from "./flag.ts";

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

const CASCADE_ARGS = [
  { placeholder: "HUB", brief: "virtual hub of this server", isOptional: false },
  { placeholder: "NAME", brief: "cascade", isOptional: false },
] as const;

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
      "vpn status --bridge",
    ],
    load: async () => (await import("./server.ts")).runBridge,
  }),
  client: CLIENT_COMMANDS,
  status: command("Show the running server", {
    flags: ASK_FLAGS,
    examples: ["vpn status", "vpn status --json"],
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
