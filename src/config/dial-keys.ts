import { MAX_CONNECTIONS_PER_SESSION, MAX_NAME_CHARS } from "../base/limits.ts";
import {
  type AccountConfig,
  type AccountCredential,
  DEFAULT_WISHES,
  type PemSource,
  type ProxySetting,
  type SessionWishes,
  type VerifySetting,
} from "./client-config.ts";
import { PROXY_EXPECTS, tryParseProxy } from "./proxy-url.ts";
import { tryParseRemote } from "./remote.ts";
import {
  bool,
  choice,
  duration,
  durationOrNever,
  existingFile,
  integer,
  privateKeyFile,
  textOf,
} from "./scalar-shapes.ts";
import { secret, sharedSecret } from "./secret.ts";
import { optional, type Place, required, setting, type Shape, type TableValue } from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";

// The keys by which a session is opened from here: accounts and cascades have them in common (config-proposal.md 7.4).

const SHA256 = /^sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})$/i;

/** A fingerprint may be written with colons, as other tools print it. */
const verify: Shape<VerifySetting> = {
  expects: '"auto", "system", "off", "sha256:HEX" with 64 digits, or the path of a certificate',
  read(node, place) {
    if (node.kind === "stored") return { kind: "pem", pem: new TextDecoder().decode(node.bytes) };
    const written = node.kind === "string" ? node.value : "";
    if (written === "auto" || written === "system" || written === "off") return { kind: written };
    const hex = SHA256.exec(written)?.[1];
    if (hex !== undefined) {
      return { kind: "sha256", fingerprint: Uint8Array.fromHex(hex.replaceAll(":", "")) };
    }
    if (written === "" || written.startsWith("sha256:")) {
      // The text of another key's value could stand here by a slip, so only its kind is told.
      return place.fail(node, `expected ${verify.expects}`);
    }
    const found = existingFile.read(node, place);
    return found === undefined ? undefined : { kind: "file", path: found };
  },
};

/** A password in the text is a secret of the file; none of its faults shows it. */
const proxy: Shape<NonNullable<ProxySetting>> = {
  expects: PROXY_EXPECTS,
  read(node, place) {
    const found = node.kind === "string" ? tryParseProxy(node.value) : undefined;
    if (found === undefined) return place.fail(node, `expected ${PROXY_EXPECTS}`);
    if (found.kind !== "direct" && found.password !== undefined) {
      place.context.holdsSecret(node.at);
      place.warn(node, 'the password stands in the file itself, better "proxy_password"');
    }
    return found;
  },
};

/** @param connections unless the file says otherwise */
export const dialKeys = (connections: number) => ({
  to: required(textOf('"HOST[:PORT]/HUB", an IPv6 address in brackets', tryParseRemote)),
  user: required(
    textOf("a user name", (name) =>
      name !== "" && name.length <= MAX_NAME_CHARS ? name : undefined,
    ),
  ),
  password: optional(secret),
  anonymous: setting(bool, false),
  plain: setting(bool, false),
  cert: optional(pemSource(existingFile)),
  key: optional(pemSource(privateKeyFile)),
  verify: setting(verify, { kind: "auto" }),
  connections: setting(integer(1, MAX_CONNECTIONS_PER_SESSION), connections),
  interval: setting(duration("1s", "1h"), DEFAULT_WISHES.intervalMs),
  lifetime: setting(durationOrNever("1s", "365d"), DEFAULT_WISHES.lifetimeMs),
  half_duplex: setting(bool, DEFAULT_WISHES.halfDuplex),
  compress: setting(bool, DEFAULT_WISHES.compress),
  encrypt: setting(bool, DEFAULT_WISHES.encrypt),
  qos: setting(bool, DEFAULT_WISHES.qos),
  udp: setting(bool, DEFAULT_WISHES.udp),
  proxy: optional(proxy),
  proxy_password: optional(sharedSecret),
  family: setting(choice("any", "ipv4", "ipv6"), "any"),
});
type DialNoun = "account" | "cascade";
type DialTable = TableValue<ReturnType<typeof dialKeys>>;

/** How and where to a session is opened. */
export type DialSettings = Pick<
  AccountConfig,
  "host" | "port" | "hub" | "user" | "credential" | "verify" | "wishes" | "proxy" | "family"
>;

/** What the keys above say together. `noun` names what has them. */
export function dialSettingsOf(
  value: DialTable,
  node: TomlNode,
  place: Place,
  noun: DialNoun,
): DialSettings | undefined {
  const credential = credentialOf(value, node, place, noun);
  const way = proxyOf(value, node, place);
  if (credential === undefined || way === undefined) return undefined;
  const { to, user, verify: verifies, family } = value;
  return {
    ...to,
    user,
    credential,
    verify: verifies,
    wishes: wishesOf(value),
    proxy: way.proxy,
    family,
  };
}

function credentialOf(
  { password, anonymous, plain, cert, key }: DialTable,
  node: TomlNode,
  place: Place,
  noun: DialNoun,
): AccountCredential | undefined {
  if (anonymous && (password !== undefined || plain || cert !== undefined || key !== undefined)) {
    const others = '"password", no "plain" and no "cert"';
    return place.fail(node, `an anonymous ${noun} has no ${others}`, "anonymous");
  }
  if (anonymous) return { kind: "anonymous" };
  if (cert !== undefined || key !== undefined) {
    if (password !== undefined || plain) {
      return place.fail(node, `the ${noun} has either "cert" and "key", or a password`, "cert");
    }
    if (cert === undefined) return place.fail(node, 'the key "cert" is missing beside "key"');
    if (key === undefined) return place.fail(node, 'the key "key" is missing beside "cert"');
    return { kind: "certificate", cert, key };
  }
  if (plain && password?.kind === "sha0") {
    return place.fail(node, 'with "plain" the password itself is sent: a hash is no use', "plain");
  }
  return { kind: "password", secret: password, plain };
}

function wishesOf(value: DialTable): SessionWishes {
  const { connections, compress, encrypt, qos, udp } = value;
  return {
    connections,
    intervalMs: value.interval,
    lifetimeMs: value.lifetime,
    halfDuplex: value.half_duplex,
    compress,
    encrypt,
    qos,
    udp,
  };
}

function proxyOf(
  { proxy: way, proxy_password: password }: DialTable,
  node: TomlNode,
  place: Place,
): { readonly proxy: ProxySetting } | undefined {
  if (password === undefined) return { proxy: way };
  const complain = (why: string) => place.fail(node, why, "proxy_password");
  if (way === undefined || way.kind === "direct" || way.user === undefined) {
    return complain('it needs a "proxy" with a user, as in "http://USER@HOST:PORT"');
  }
  if (way.kind === "socks4") return complain("SOCKS4 knows no passwords");
  if (way.password !== undefined) return complain('"proxy" holds a password already');
  return { proxy: { ...way, password } };
}

/** A path, or what this program keeps itself. */
function pemSource(file: Shape<string>): Shape<PemSource> {
  return {
    expects: file.expects,
    read(node, place) {
      if (node.kind === "stored") return { pem: new TextDecoder().decode(node.bytes) };
      const found = file.read(node, place);
      return found === undefined ? undefined : { path: found };
    },
  };
}
