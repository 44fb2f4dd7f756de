import { hostname } from "node:os";
import { ConfigError, EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { qrLines } from "../cli/qr-code.ts";
import { loadServerConfig } from "../config/load.ts";
import type { ServerConfig, UserConfig } from "../config/server-config.ts";
import { joinKeys } from "../config/shape.ts";
import type { TOTP_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { loadOptions } from "./state-dir.ts";

/** As long as the hash of the codes, which RFC 4226 4 R6 recommends. */
const SECRET_BYTES = 20;

/** `vpn user totp HUB USER`: the secret of one-time codes as telephones take it, and as config.toml does. */
export async function userTotp(
  environment: CommandEnvironment,
  flags: FlagValues<typeof TOTP_FLAGS>,
  hubName = "",
  userName = "",
): Promise<ExitCode> {
  const config = tryLoad(environment, flags.config);
  const found = config === undefined ? undefined : findUser(config, hubName, userName);
  const [hub, user] = found === undefined ? [hubName, userName] : [found.hub, found.user.name];
  const { Secret, TOTP } = await import("otpauth");
  const bytes = found?.user.totp ?? environment.random.bytes(SECRET_BYTES);
  // The library takes the whole buffer behind a view.
  const secret = new Secret({ buffer: bytes.slice().buffer });
  const issuer = `${config?.server.name ?? hostname()} ${hub}`;
  const uri = new TOTP({ issuer, label: user, secret }).toString();
  const isNew = found?.user.totp === undefined;
  environment.stdout(
    flags.json
      ? `${JSON.stringify({ hub, user, uri, secret: secret.base32, isNew })}\n`
      : await describe({ hub, user, uri, secret: secret.base32, isNew }, environment),
  );
  return EXIT.ok;
}

/** The configuration that names are checked against; undefined where there is none, or none that holds. */
function tryLoad(
  environment: CommandEnvironment,
  path: string | undefined,
): ServerConfig | undefined {
  try {
    const { config, usedDefaults } = loadServerConfig(loadOptions(environment, path));
    return usedDefaults ? undefined : config;
  } catch (error) {
    // It may name the very file that is to be written now.
    if (!(error instanceof ConfigError)) throw error;
    environment.stderr(
      `${error.message}\nvpn: The configuration has faults, so hub and user are not checked\n`,
    );
    return undefined;
  }
}

function findUser(
  { hubs }: ServerConfig,
  hubName: string,
  userName: string,
): { readonly hub: string; readonly user: UserConfig } {
  const isNamed = (name: string) => (one: { readonly name: string }) =>
    one.name.toLowerCase() === name.toLowerCase();
  const hub = hubs.find(isNamed(hubName));
  if (hub === undefined) throw new ExitError(EXIT.data, `The configuration has no hub ${hubName}`);
  const user = hub.users.find(isNamed(userName));
  if (user === undefined) {
    throw new ExitError(EXIT.data, `The hub ${hub.name} has no user ${userName}`);
  }
  const { kind } = user.credential;
  if (kind === "anonymous" || kind === "certificate" || kind === "signed-certificate") {
    throw new ExitError(EXIT.data, `${user.name} has no password that a code could stand behind`);
  }
  return { hub: hub.name, user };
}

async function describe(
  of: { hub: string; user: string; uri: string; secret: string; isNew: boolean },
  { stdoutIsTerminal }: CommandEnvironment,
): Promise<string> {
  const { hub, user, uri, secret, isNew } = of;
  const picture = (await qrLines(uri, { isColoured: stdoutIsTerminal })).join("\n");
  const file = `/etc/vpn/${user.replaceAll(/[^A-Za-z0-9._-]/g, "_")}.totp`;
  const next = isNew
    ? `Write the secret into a file of the server's own, mode 0600:
  ${secret}
and name it in config.toml, then run vpn reload:
  [${joinKeys("hub", hub, "user", user)}]
  totp = "file:${file}"
`
    : `This is the secret that config.toml names; another telephone may have it as well:
  ${secret}
`;
  return `${picture}
${uri}

${next}
${user} then logs in with the password and the six digits behind it, without a blank. Clients must send the password itself
(the account's "plain"; in the reference's client: RADIUS or NT domain authentication), inside TLS.
`;
}
