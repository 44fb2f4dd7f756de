import { tryParseNet } from "../base/ip.ts";
import { isGroupMac, type MacAddress, tryParseMac } from "../base/mac.ts";
import { account } from "./account-schema.ts";
import {
  type AccountConfig,
  type ClientConfig,
  DEFAULT_NIC,
  type NicAddress,
  type NicConfig,
} from "./client-config.ts";
import { log } from "./log-shape.ts";
import { ACCOUNT_NAMES, NIC_NAMES, tryDeviceName } from "./name-rules.ts";
import { choice, integer, net, path, textOf } from "./scalar-shapes.ts";
import { fileKeys } from "./server-schema.ts";
import {
  list,
  named,
  oneOf,
  optional,
  refine,
  section,
  setting,
  type Shape,
  table,
} from "./shape.ts";

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
