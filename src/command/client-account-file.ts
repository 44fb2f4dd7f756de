import { writeFileSync } from "node:fs";
import { EXIT, ExitError, messageOf, VpnError, type ExitCode } from "../base/errors.ts";
import { MAX_DECLARED_BYTES } from "../base/limits.ts";
import { findAccount } from "../client/account.ts";
import type { AccountBook } from "../client/account-book.ts";
import { systemFiles } from "../config/source-files.ts";
import type { ImportedAccount } from "../interop/vpn-file.ts";
import { changeBook } from "./client-change.ts";
import type { EXPORT_FLAGS, IMPORT_FLAGS } from "./client-flags.ts";
import { openSetup, type WritableSetup } from "./client-setup.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";

/** `vpn client account import FILE`: a .vpn file of the reference's client. */
export async function importFile(
  environment: CommandEnvironment,
  flags: FlagValues<typeof IMPORT_FLAGS>,
  path = "",
): Promise<ExitCode> {
  const imported = await readImport(environment, path);
  const { account, device, notes } = imported;
  for (const note of notes) environment.stderr(`vpn: ${note}\n`);
  return changeBook(environment, flags, (book: AccountBook, setup: WritableSetup) => {
    const name = book.freeAccountName(flags.name ?? account.name);
    const { nics } = setup.config;
    const same = nics.find((nic) => nic.name.toLowerCase() === device.toLowerCase());
    const nic = (same ?? (nics.length === 1 ? nics[0] : undefined))?.name;
    book.addAccount({ ...account, name, nic });
    return { text: `Imported the account ${name}`, json: { imported: name, notes } };
  });
}

/** `vpn client account export NAME`: with its password. */
export async function exportFile(
  environment: CommandEnvironment,
  flags: FlagValues<typeof EXPORT_FLAGS>,
  name = "",
): Promise<ExitCode> {
  const { encodeVpnFile } = await import("../interop/vpn-file-writer.ts");
  const setup = openSetup(environment, flags);
  setup.close();
  const account = findAccount(setup.config, name);
  const device = account.nic ?? setup.config.nics[0]?.name ?? REFERENCE_NIC;
  const { bytes, notes } = encodeVpnFile(account, device);
  for (const note of notes) environment.stderr(`vpn: ${note}\n`);
  const path = flags.output ?? `${account.name.replaceAll("/", "_")}.vpn`;
  if (path === "-") {
    environment.stdout(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    return EXIT.ok;
  }
  writeNew(path, bytes);
  const text = `Exported ${account.name} to ${path}, which holds what it logs in with`;
  const json = JSON.stringify({ exported: account.name, file: path, notes });
  environment.stdout(`${flags.json ? json : text}\n`);
  return EXIT.ok;
}

/** What the reference calls the NIC that it makes where there is none (hub.md 15.2). */
const REFERENCE_NIC = "VPN";

async function readImport(environment: CommandEnvironment, path: string): Promise<ImportedAccount> {
  const { parseVpnFile } = await import("../interop/vpn-file.ts");
  const bytes =
    path === "-" ? await environment.stdin.readAll(MAX_DECLARED_BYTES + 1) : readFile(path);
  try {
    return parseVpnFile(bytes);
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    throw new ExitError(EXIT.data, `Cannot import ${path}: ${error.message}`);
  }
}

function readFile(path: string): Uint8Array {
  const found = systemFiles.read(path, MAX_DECLARED_BYTES);
  if (found.kind === "file") return found.bytes;
  const reason = found.kind === "missing" ? "does not exist" : found.reason;
  throw new ExitError(EXIT.noInput, `Cannot import ${path}: it ${reason}`);
}

/** For its owner alone, and never over another file. */
function writeNew(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes, { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw new ExitError(EXIT.cannotCreate, `Cannot write ${path}: ${messageOf(error)}`);
  }
}
