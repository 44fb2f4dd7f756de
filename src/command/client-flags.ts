import { LOG_LEVELS } from "../observe/log.ts";
import { choice, ternary, toggle, value } from "./definition.ts";
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
  parseSize,
  parseText,
  parseVerify,
} from "./flag.ts";

// The flags of the client's commands. Those of an account have the names of its keys in client.toml.

const json = toggle("answer in JSON, errors included");
const config = value("FILE", "configuration file", parseText);
const stateDir = value("DIR", "state directory", parseText);

/** For commands about the accounts and clients of this machine. */
export const CLIENT_FLAGS = { config, stateDir, json };

const logFormat = choice("form of log lines", "text", "json");
const logLevel = choice("least level of log lines", ...LOG_LEVELS);

/** Where to, and as whom. */
const LOGIN_FLAGS = {
  server: value("HOST:PORT", "server, port 443 if not given", parseServer),
  hub: value("HUB", "virtual hub", parseName),
  user: value("USER", "user name", parseName),
  passwordFile: value("FILE", 'file with the password, "-" for standard input', parseText),
  anonymous: toggle("log in without a password"),
  plain: ternary("send the password itself, inside TLS, for RADIUS and the like"),
  cert: value("FILE", "log in with this certificate (PEM)", parseText),
  key: value("FILE", "its private key (PEM, not encrypted)", parseText),
};

/** How the session is held. */
const STREAM_FLAGS = {
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
  family: choice("IP version of the way to the server", "any", "ipv4", "ipv6"),
  verify: value("HOW", '"auto", "system", "sha256:HEX", "off", or a certificate file', parseVerify),
  insecure: toggle("do not look at the server's certificate"),
  retry: value("N", 'tries after a failure, or "forever"', parseRetry),
  retryInterval: value("TIME", "time between tries, such as 15s", parseDuration("100ms", "1h")),
};

/** What an account is, but its NIC. */
export const ACCOUNT_FLAGS = {
  ...LOGIN_FLAGS,
  mode: choice(
    '"bridge" for stations behind this one, "monitor" to receive all frames',
    "client",
    "bridge",
    "monitor",
  ),
  ...STREAM_FLAGS,
  defaultRoute: ternary("take the default route that DHCP offers"),
  routes: value("NETS", "networks that go through the tunnel: NET[,...]", parseRoutes),
  dns: ternary("take the DNS servers that DHCP offers"),
  killSwitch: ternary("let nothing but the tunnel leave this machine meanwhile"),
};

const NIC_SETTINGS = {
  address: value("ADDR", '"dhcp", "none", or ADDRESS/PREFIX[,...]', parseAddress),
  mtu: value("BYTES", "MTU of the interface, 576 to 1500", parseInteger("an MTU", 576, 1500)),
  mac: value("MAC", "MAC address of the interface", parseMac),
  dhcpClient: choice("whose DHCP client", "own", "system"),
};

export const CONNECT_FLAGS = {
  ...ACCOUNT_FLAGS,
  nic: value("NAME", "name of a NIC, or of a network interface to make", parseName),
  ...NIC_SETTINGS,
  totp: toggle("ask for the code of a second factor, sent behind the password of --plain"),
  totpFile: value("FILE", "read that code from here at each login", parseText),
  config,
  stateDir,
  logFormat,
  logLevel,
  json: toggle("one JSON object a line for each event"),
};

export const MONITOR_FLAGS = {
  ...LOGIN_FLAGS,
  ...STREAM_FLAGS,
  write: value("FILE", 'where to write the frames (pcapng), "-" for standard output', parseText),
  filter: value(
    "EXPR",
    'only frames that match, as in "host 10.0.0.5 and tcp port 443"',
    parseText,
  ),
  count: value("N", "end after so many frames", parseInteger("frames", 1, 4_000_000_000)),
  duration: value("TIME", "end this long after the session stands", parseDuration("1s", "365d")),
  snaplen: value("BYTES", "keep no more of a frame", parseInteger("bytes", 14, 65_535)),
  ringSize: value("SIZE", "begin another file before one is longer", parseSize("10kB", "1024GB")),
  ringTime: value("TIME", "begin another file after this time", parseDuration("1s", "365d")),
  ringFiles: value("N", "keep the last so many files", parseInteger("files", 2, 100_000)),
  totp: toggle("ask for the code of a second factor, sent behind the password of --plain"),
  totpFile: value("FILE", "read that code from here at each login", parseText),
  config,
  stateDir,
  logFormat,
  logLevel,
  json: toggle("events and the summary as JSON, one object a line"),
};

/** `account add` and `account set`. */
export const STORE_FLAGS = {
  ...ACCOUNT_FLAGS,
  nic: value("NAME", "name of a NIC", parseName),
  askPassword: toggle("ask for the password now, and keep it"),
  forgetPassword: toggle("ask for the password at each login, and keep none"),
  autostart: ternary('let "up" and "service" connect it'),
  ...CLIENT_FLAGS,
};

export const NIC_FLAGS = {
  device: value("NAME", "name of the network interface", parseDevice),
  ...NIC_SETTINGS,
  ...CLIENT_FLAGS,
};

export const EXPORT_FLAGS = {
  output: value("FILE", 'where to write it, "-" for standard output', parseText),
  ...CLIENT_FLAGS,
};

export const IMPORT_FLAGS = {
  name: value("NAME", "call it so, instead of by the name in the file", parseName),
  ...CLIENT_FLAGS,
};

export const UP_FLAGS = {
  noWait: toggle("return at once, before they are connected"),
  ...CLIENT_FLAGS,
};

export const SERVICE_FLAGS = {
  unit: toggle("print the unit for systemd, and run nothing"),
  background: toggle("log to the system's log, and end with the last account"),
  logFormat,
  logLevel,
  ...CLIENT_FLAGS,
};
