import { LOG_LEVELS } from "../observe/log.ts";
import { choice, command, group, toggle, value, type CommandTable } from "./definition.ts";
import {
  parseAddress,
  parseDevice,
  parseDuration,
  parseInteger,
  parseMac,
  parseName,
  parseRetry,
  parseServer,
  parseText,
  parseVerify,
} from "./flag.ts";

// Every command of the program, with its flags and examples.

const json = toggle("answer in JSON, errors included");
const config = value("FILE", "configuration file", parseText);
const stateDir = value("DIR", "state directory", parseText);
const logFormat = choice("form of log lines", "text", "json");
const logLevel = choice("least level of log lines", ...LOG_LEVELS);

export const SERVER_FLAGS = { config, stateDir, logFormat, logLevel, json };

/** For commands that ask the running server. */
export const ASK_FLAGS = { config, stateDir, json };

export const CONNECT_FLAGS = {
  server: value("HOST:PORT", "server, port 443 if not given", parseServer),
  hub: value("HUB", "virtual hub", parseName),
  user: value("USER", "user name", parseName),
  passwordFile: value("FILE", 'file with the password, "-" for standard input', parseText),
  anonymous: toggle("log in without a password"),
  plain: toggle("send the password itself, inside TLS, for RADIUS and the like"),
  address: value("ADDR", '"dhcp", "none", or ADDRESS/PREFIX[,...]', parseAddress),
  nic: value("NAME", "name of the network interface", parseDevice),
  mtu: value("BYTES", "MTU of the interface, 576 to 1500", parseInteger("an MTU", 576, 1500)),
  mac: value("MAC", "MAC address of the interface", parseMac),
  dhcpClient: choice("whose DHCP client", "own", "system"),
  mode: choice('"bridge" for more than one station behind this one', "client", "bridge"),
  family: choice("IP version of the way to the server", "any", "ipv4", "ipv6"),
  verify: value("HOW", '"auto", "system", "sha256:HEX", "off", or a certificate file', parseVerify),
  insecure: toggle("do not look at the server's certificate"),
  retry: value("N", 'tries after a failure, or "forever"', parseRetry),
  retryInterval: value("TIME", "time between tries, such as 15s", parseDuration("100ms", "1h")),
  config,
  stateDir,
  logFormat,
  logLevel,
  json: toggle("one JSON object a line for each event"),
};

export const CHECK_FLAGS = { json };

export const PASSWD_FLAGS = {
  passwordFile: value("FILE", 'file with the password, "-" for standard input', parseText),
  json,
};

export const COMMANDS: CommandTable = {
  server: command("Run the VPN server", {
    flags: SERVER_FLAGS,
    examples: [
      "vpn server --config config.toml",
      "vpn server --state-dir /srv/vpn --log-format json",
    ],
    load: async () => (await import("./server.ts")).runServer,
  }),
  client: group("Connect this machine to a hub", {
    connect: command("Connect, and stay connected until Ctrl-C", {
      flags: CONNECT_FLAGS,
      args: [{ placeholder: "ACCOUNT", brief: "account of client.toml", isOptional: true }],
      examples: [
        "vpn client connect hq",
        "vpn client connect --server vpn.example.com --hub office --user alice",
        "vpn client connect --server [2001:db8::1]:5555 --hub lab --user bob --password-file pw --address 10.0.0.2/24",
      ],
      load: async () => (await import("./client.ts")).connect,
    }),
    status: command("Show the clients that run here", {
      flags: ASK_FLAGS,
      args: [{ placeholder: "NAME", brief: "account or interface", isOptional: true }],
      examples: ["vpn client status", "vpn client status hq --json"],
      load: async () => (await import("./client-control.ts")).status,
    }),
    disconnect: command("End a client that runs here", {
      flags: ASK_FLAGS,
      args: [{ placeholder: "NAME", brief: "account or interface", isOptional: true }],
      examples: ["vpn client disconnect", "vpn client disconnect hq"],
      load: async () => (await import("./client-control.ts")).disconnect,
    }),
  }),
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
  reload: command("Let the running server read its configuration again", {
    flags: ASK_FLAGS,
    examples: ["vpn reload", "vpn reload --state-dir /srv/vpn"],
    load: async () => (await import("./server-status.ts")).reload,
  }),
  config: group("Configuration files", {
    check: command("Check a configuration file and name every fault in it", {
      flags: CHECK_FLAGS,
      args: [{ placeholder: "FILE", brief: "instead of the default place", isOptional: true }],
      examples: ["vpn config check config.toml"],
      load: async () => (await import("./config.ts")).check,
    }),
  }),
  passwd: command("Print the hash of a user's password for config.toml", {
    flags: PASSWD_FLAGS,
    args: [
      { placeholder: "USER", brief: "user name, which is part of the hash", isOptional: false },
    ],
    examples: ["vpn passwd alice", "vpn passwd alice --password-file - < secret.txt"],
    load: async () => (await import("./passwd.ts")).passwd,
  }),
  help: command("Read a chapter of the documentation", {
    flags: {},
    args: [{ placeholder: "TOPIC", brief: "without one: the list of them", isOptional: true }],
    examples: ["vpn help", "vpn help security"],
    load: async () => (await import("./help.ts")).help,
  }),
};
