import { EXIT, type ExitCode } from "../base/errors.ts";
import { formatTable, type Column } from "../cli/table.ts";
import { findAccount } from "../client/account.ts";
import { askStatus, controlPath } from "../client/control-call.ts";
import { encodeAccount, trimAccount } from "../config/account-keys.ts";
import type { AccountConfig } from "../config/client-config.ts";
import { isSecret, type Origin } from "../config/ownership.ts";
import { formatRemote } from "../config/remote.ts";
import { formatToml } from "../config/toml-text.ts";
import type { CLIENT_FLAGS } from "./client-flags.ts";
import { openSetup, type ClientSetup } from "./client-setup.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";

type ClientFlags = FlagValues<typeof CLIENT_FLAGS>;

const COLUMNS: readonly Column[] = [
  "ACCOUNT",
  "TO",
  "USER",
  "NIC",
  "AUTOSTART",
  "STATE",
  "FROM",
].map((title) => ({ title }));
const ORIGIN_TEXT: Readonly<Record<Origin, string>> = {
  declared: "file",
  changed: "file, changed",
  removed: "file, removed",
  dynamic: "commands",
};

/** `vpn client account list`. */
export async function list(environment: CommandEnvironment, flags: ClientFlags): Promise<ExitCode> {
  const setup = openSetup(environment, flags);
  try {
    const rows = await Promise.all(
      setup.config.accounts.map((account) => summarize(environment, setup, account)),
    );
    if (flags.json) environment.stdout(`${JSON.stringify(rows)}\n`);
    else if (rows.length === 0) environment.stdout("There are no accounts\n");
    else {
      const cells = rows.map((row) => [
        row.name,
        row.to,
        row.user,
        row.nic ?? "",
        row.autostart ? "yes" : "no",
        row.state,
        ORIGIN_TEXT[row.origin],
      ]);
      environment.stdout(formatTable(COLUMNS, cells, environment.columns()));
    }
    return EXIT.ok;
  } finally {
    setup.close();
  }
}

/** `vpn client account show NAME`: as client.toml would have it; of secrets only that they are there. */
export async function show(
  environment: CommandEnvironment,
  flags: ClientFlags,
  name = "",
): Promise<ExitCode> {
  const setup = openSetup(environment, flags);
  try {
    const account = findAccount(setup.config, name);
    const { keys } = encodeAccount(account);
    const summary = await summarize(environment, setup, account);
    if (flags.json) {
      const masked = Object.entries(keys).map(([key, value]) => [
        key,
        isSecret(value) ? { stored: true } : value,
      ]);
      const { origin, state } = summary;
      const shown = { name: account.name, origin, state, ...Object.fromEntries(masked) };
      environment.stdout(`${JSON.stringify(shown)}\n`);
    } else {
      const table = formatToml(["account", account.name], trimAccount(keys));
      const from = `# From ${ORIGIN_TEXT[summary.origin]}; ${summary.state}`;
      environment.stdout(`${from}\n${table}`);
    }
    return EXIT.ok;
  } finally {
    setup.close();
  }
}

async function summarize(
  environment: CommandEnvironment,
  setup: ClientSetup,
  account: AccountConfig,
) {
  const { name, user, nic, autostart } = account;
  const status = await askStatus(controlPath(setup.stateDir, name), environment.clock);
  const origin = setup.objects.find(
    (owned) => owned.kind === "account" && owned.name === name,
  )?.origin;
  return {
    name,
    to: formatRemote(account),
    user,
    nic: nic ?? null,
    autostart,
    state: status?.state ?? "offline",
    origin: origin ?? "declared",
  };
}
