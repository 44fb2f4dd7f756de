import { tryParseNet } from "../base/ip.ts";
import { isGroupMac, type MacAddress, tryParseMac } from "../base/mac.ts";
import { MAX_NAME_CHARS } from "../base/limits.ts";
import {
  type AccountConfig,
  type AccountCredential,
  type ClientConfig,
  DEFAULT_NIC,
  type NicAddress,
  type NicConfig,
  type VerifySetting,
} from "./client-config.ts";
import { ACCOUNT_NAMES, NIC_NAMES } from "./name-rules.ts";
import { tryParseRemote } from "./remote.ts";
import {
  bool,
  choice,
  duration,
  existingFile,
  integer,
  net,
  path,
  text,
  textOf,
} from "./scalar-shapes.ts";
import { secret } from "./secret.ts";
import { fileKeys, log } from "./server-schema.ts";
import {
  list,
  named,
  oneOf,
  optional,
  refine,
  required,
  section,
  setting,
  type Shape,
  table,
} from "./shape.ts";

/** IFNAMSIZ of Linux less the NUL; the kernel refuses slashes, spaces and the names of folders. */
const DEVICE_NAME = /^[^\s/:]{1,15}$/;
const device = textOf("a device name of at most 15 characters", tryDeviceName);

const mac: Shape<MacAddress> = textOf('a unicast MAC such as "5e:00:53:01:02:03"', (written) => {
  const found = tryParseMac(written);
  return found === undefined || found === 0 || isGroupMac(found) ? undefined : found;
});

const ADDRESS_EXPECTS = '"dhcp", "none", or networks such as "192.168.30.20/24"';
const nicAddress = oneOf<NicAddress>(ADDRESS_EXPECTS, {
  string: textOf(ADDRESS_EXPECTS, (written): NicAddress | undefined => {
    if (written === "dhcp" || written === "none") return { kind: written };
    const one = tryParseNet(written);
    return one === undefined ? undefined : { kind: "static", nets: [one] };
  }),
  array: refine(list(net), (nets): NicAddress => ({ kind: "static", nets })),
});

const nic: Shape<Omit<NicConfig, "name" | "device"> & { device: string | undefined }> = refine(
  table({
    device: optional(device),
    address: setting(nicAddress, DEFAULT_NIC.address),
    dhcp_client: setting(choice("own", "system"), DEFAULT_NIC.dhcpClient),
    mtu: setting(integer(576, 1500), DEFAULT_NIC.mtu),
    mac: optional(mac),
  }),
  ({ dhcp_client: dhcpClient, ...rest }) => ({ ...rest, dhcpClient }),
);

const nics: Shape<readonly NicConfig[]> = refine(named(nic, NIC_NAMES), (entries, node, place) => {
  const taken = new Map<string, string>();
  const found: NicConfig[] = [];
  for (const { name, value } of entries) {
    const own = value.device ?? tryDeviceName(name);
    const other = own === undefined ? undefined : taken.get(own);
    if (own === undefined) {
      place.fail(node, `the name is not one of a device, so the key "device" is needed`, name);
    } else if (other !== undefined) {
      place.fail(node, `the device ${own} is that of the NIC ${JSON.stringify(other)}`, name);
    } else {
      taken.set(own, name);
      found.push({ name, ...value, device: own });
    }
  }
  return found.length === entries.length ? found : undefined;
});

const SHA256 = /^sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})$/i;

/** A fingerprint may be written with colons, as other tools print it. */
const verify: Shape<VerifySetting> = {
  expects: '"auto", "system", "off", "sha256:HEX" with 64 digits, or the path of a certificate',
  read(node, place) {
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

const account: Shape<Omit<AccountConfig, "name">> = refine(
  table({
    to: required(textOf('"HOST[:PORT]/HUB", an IPv6 address in brackets', tryParseRemote)),
    user: required(
      textOf("a user name", (name) =>
        name !== "" && name.length <= MAX_NAME_CHARS ? name : undefined,
      ),
    ),
    password: optional(secret),
    anonymous: setting(bool, false),
    plain: setting(bool, false),
    verify: setting(verify, { kind: "auto" }),
    nic: optional(text(MAX_NAME_CHARS)),
    mode: setting(choice("client", "bridge"), "client"),
    retry: setting(retries(), "forever"),
    retry_interval: setting(duration("100ms", "1h"), 15_000),
    family: setting(choice("any", "ipv4", "ipv6"), "any"),
  }),
  ({ to, password, anonymous, plain, retry_interval: retryIntervalMs, ...rest }, node, place) => {
    if (anonymous && (password !== undefined || plain)) {
      return place.fail(node, 'an anonymous account has no "password" and no "plain"', "anonymous");
    }
    if (plain && password?.kind === "sha0") {
      return place.fail(
        node,
        'with "plain" the password itself is sent: a hash is no use',
        "plain",
      );
    }
    const credential: AccountCredential = anonymous
      ? { kind: "anonymous" }
      : { kind: "password", secret: password, plain };
    return { ...to, ...rest, retryIntervalMs, credential };
  },
);

/** All keys of client.toml (config-proposal.md 7.6) whose subject exists. */
export const clientSchema: Shape<ClientConfig> = refine(
  table({
    ...fileKeys,
    client: section(table({ state_dir: optional(path) })),
    log: section(log),
    nic: setting(nics, []),
    account: setting(named(account, ACCOUNT_NAMES), []),
  }),
  (value, node, place) => {
    const spelling = new Map(value.nic.map(({ name }) => [name.toLowerCase(), name]));
    let isGood = true;
    const accounts = value.account.map((entry): AccountConfig => {
      const wanted = entry.value.nic;
      const found = wanted === undefined ? undefined : spelling.get(wanted.toLowerCase());
      if (wanted !== undefined && found === undefined) {
        isGood = false;
        const fault = `there is no NIC ${JSON.stringify(wanted)} in this file`;
        place.fail(node, fault, "account", entry.name, "nic");
      }
      return { name: entry.name, ...entry.value, nic: found };
    });
    if (!isGood) return undefined;
    const { log: logging, nic: allNics } = value;
    return { client: { stateDir: value.client.state_dir }, log: logging, nics: allNics, accounts };
  },
);

function retries(): Shape<number | "forever"> {
  const expects = 'a whole number from 0 to 1000000, or "forever"';
  return oneOf<number | "forever">(expects, {
    integer: integer(0, 1_000_000),
    string: choice("forever"),
  });
}

function tryDeviceName(name: string): string | undefined {
  return DEVICE_NAME.test(name) && name !== "." && name !== ".." ? name : undefined;
}
