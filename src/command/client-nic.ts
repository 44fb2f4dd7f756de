import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { formatNet } from "../base/ip.ts";
import { formatMac } from "../base/mac.ts";
import { formatTable, type Column } from "../cli/table.ts";
import { findRunning } from "../client/control-call.ts";
import { findMac, randomMac } from "../client/identity.ts";
import { DEFAULT_NIC, type NicConfig } from "../config/client-config.ts";
import { changeBook } from "./client-change.ts";
import type { CLIENT_FLAGS, NIC_FLAGS } from "./client-flags.ts";
import { openSetup } from "./client-setup.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { parseMac } from "./flag.ts";

type ClientFlags = FlagValues<typeof CLIENT_FLAGS>;

const COLUMNS: readonly Column[] = ["NIC", "DEVICE", "MAC", "MTU", "ADDRESS", "USED BY"].map(
  (title) => ({ title }),
);
/** IFNAMSIZ of Linux, less the NUL. */
const MAX_DEVICE_CHARS = 15;

/** `vpn client nic add NAME`: the interface itself is made when an account connects over it. */
export function add(
  environment: CommandEnvironment,
  flags: FlagValues<typeof NIC_FLAGS>,
  name = "",
): Promise<ExitCode> {
  return changeBook(environment, flags, (book) => {
    const nic: NicConfig = {
      name,
      device: flags.device ?? deviceOf(name),
      address: flags.address ?? DEFAULT_NIC.address,
      dhcpClient: flags.dhcpClient ?? DEFAULT_NIC.dhcpClient,
      mtu: flags.mtu ?? DEFAULT_NIC.mtu,
      mac: flags.mac ?? randomMac(environment.random),
    };
    book.addNic(nic);
    const { device } = nic;
    return { text: `Added the NIC ${name}, device ${device}`, json: { added: name, device } };
  });
}

/** `vpn client nic list`. */
export async function list(environment: CommandEnvironment, flags: ClientFlags): Promise<ExitCode> {
  const setup = openSetup(environment, flags);
  setup.close();
  const running = await findRunning(setup.stateDir, environment.clock);
  const rows = setup.config.nics.map((nic) => {
    const mac = nic.mac ?? findMac(setup.stateDir, nic.device);
    return {
      name: nic.name,
      device: nic.device,
      mac: mac === undefined ? null : formatMac(mac),
      mtu: nic.mtu,
      address: nic.address.kind === "static" ? nic.address.nets.map(formatNet) : nic.address.kind,
      usedBy: running.find(({ status }) => status.nic === nic.device)?.status.account ?? null,
    };
  });
  if (flags.json) environment.stdout(`${JSON.stringify(rows)}\n`);
  else if (rows.length === 0)
    environment.stdout("There are no NICs: vpn0 is made when it is needed\n");
  else {
    const cells = rows.map((row) => [
      row.name,
      row.device,
      row.mac ?? "at random",
      String(row.mtu),
      String(row.address),
      row.usedBy ?? "",
    ]);
    environment.stdout(formatTable(COLUMNS, cells, environment.columns()));
  }
  return EXIT.ok;
}

/** `vpn client nic remove NAME`, of one that is not in use; its accounts get one that remains. */
export function remove(
  environment: CommandEnvironment,
  flags: ClientFlags,
  name = "",
): Promise<ExitCode> {
  return changeBook(environment, flags, async (book, { stateDir }) => {
    const nic = book.nic(name);
    await refuseUsed(environment, stateDir, nic);
    const accounts = book.removeNic(nic.name);
    for (const account of accounts) {
      environment.stderr(`vpn: The account ${account} has another NIC now\n`);
    }
    return { text: `Removed the NIC ${nic.name}`, json: { removed: nic.name, accounts } };
  });
}

/** `vpn client nic set-mac NAME MAC`, of one that is not in use. */
export function setMac(
  environment: CommandEnvironment,
  flags: ClientFlags,
  name = "",
  written = "",
): Promise<ExitCode> {
  return changeBook(environment, flags, async (book, { stateDir }) => {
    const nic = book.nic(name);
    const mac = written === "random" ? randomMac(environment.random) : readMac(written);
    await refuseUsed(environment, stateDir, nic);
    book.changeNic({ ...nic, mac });
    const text = formatMac(mac);
    return { text: `The NIC ${nic.name} has the MAC ${text}`, json: { nic: nic.name, mac: text } };
  });
}

/** hub.md 15.2: named after the NIC, as far as the kernel takes it. */
function deviceOf(name: string): string {
  return `vpn_${name.toLowerCase()}`.replace(/[^\w.@+-]/g, "_").slice(0, MAX_DEVICE_CHARS);
}

function readMac(written: string) {
  try {
    return parseMac(written);
  } catch (error) {
    const why = error instanceof Error ? error.message : "";
    throw new ExitError(EXIT.usage, `Cannot use the MAC "${written}": ${why}, or "random"`);
  }
}

async function refuseUsed(
  environment: CommandEnvironment,
  stateDir: string,
  nic: NicConfig,
): Promise<void> {
  const running = await findRunning(stateDir, environment.clock);
  const user = running.find(({ status }) => status.nic === nic.device)?.status.account;
  if (user === undefined) return;
  const text = `The NIC "${nic.name}" is in use by the account "${user}": disconnect it first`;
  throw new ExitError(EXIT.temporary, text);
}
