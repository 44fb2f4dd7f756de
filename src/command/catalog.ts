import { LOG_LEVELS } from "../observe/log.ts";
import { choice, command, group, ternary, toggle, value, type CommandTable } from "./definition.ts";
import {
  parseAddress,
  parseDevice,
  parseDuration,
  parseDurationOrNever,
  parseInteger,
  parseMac,
  parseName,
  parseProxy,
  parseRetry,
  parseRoutes,
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
  cert: value("FILE", "log in with this certificate (PEM)", parseText),
  key: value("FILE", "its private key (PEM, not encrypted)", parseText),
  address: value("ADDR", '"dhcp", "none", or ADDRESS/PREFIX[,...]', parseAddress),
  nic: value("NAME", "name of the network interface", parseDevice),
  mtu: value("BYTES", "MTU of the interface, 576 to 1500", parseInteger("an MTU", 576, 1500)),
  mac: value("MAC", "MAC address of the interface", parseMac),
  dhcpClient: choice("whose DHCP client", "own", "system"),
  mode: choice(
    '"bridge" for stations behind this one, "monitor" to receive all frames',
    "client",
    "bridge",
    "monitor",
  ),
  connections: value("N", "TCP connections, 1 to 32", parseInteger("connections", 1, 32)),
  interval: value("TIME", "between additional connections", parseDuration("1s", "1h")),
  lifetime: value(
    "TIME",
    'life of a connection, "0" without end',
    parseDurationOrNever("1s", "365d"),
  ),
  halfDuplex: ternary("one direction for each connection"),
  compress: ternary("compress what shrinks by it"),
  encrypt: ternary("stay encrypted after the login"),
  qos: ternary("let urgent frames pass others"),
  udp: ternary("accelerate by UDP where the server offers it"),
  proxy: value("URL", '"direct", or http://[USER@]HOST:PORT, socks4:, socks5:', parseProxy),
  proxyPasswordFile: value("FILE", "file with the proxy's password", parseText),
  defaultRoute: ternary("take the default route that DHCP offers"),
  routes: value("NETS", "networks that go through the tunnel: NET[,...]", parseRoutes),
  dns: ternary("take the DNS servers that DHCP offers"),
  killSwitch: ternary("let nothing but the tunnel leave this machine meanwhile"),
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
        "vpn client connect hq --connections 8 --compress --no-udp --routes 10.0.0.0/8,192.168.7.0/24",
        "vpn client connect hq --cert alice.pem --key alice.key --proxy http://alice@proxy:3128",
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
