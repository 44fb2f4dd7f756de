import fail2banFilter from "../asset/fail2ban/patchbay.conf" with { type: "text" };
import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { nearestName } from "../config/nearest-name.ts";
import accessChapter from "../doc/access.md" with { type: "text" };
import cascadeChapter from "../doc/cascade.md" with { type: "text" };
import bridgeChapter from "../doc/bridge.md" with { type: "text" };
import clientChapter from "../doc/client.md" with { type: "text" };
import configurationChapter from "../doc/configuration.md" with { type: "text" };
import exitCodesChapter from "../doc/exit-codes.md" with { type: "text" };
import l3SwitchChapter from "../doc/l3switch.md" with { type: "text" };
import loginChapter from "../doc/login.md" with { type: "text" };
import floodsChapter from "../doc/floods.md" with { type: "text" };
import logsChapter from "../doc/logs.md" with { type: "text" };
import monitorChapter from "../doc/monitor.md" with { type: "text" };
import radiusChapter from "../doc/radius.md" with { type: "text" };
import routesChapter from "../doc/routes.md" with { type: "text" };
import systemdChapter from "../doc/systemd.md" with { type: "text" };
import secureNatChapter from "../doc/securenat.md" with { type: "text" };
import tablesChapter from "../doc/tables.md" with { type: "text" };
import securityChapter from "../doc/security.md" with { type: "text" };
import type { CommandEnvironment } from "./environment.ts";

interface Chapter {
  readonly brief: string;
  readonly text: string | (() => Promise<string>);
}

/** The chapters of the documentation, carried by the binary. */
const CHAPTERS: Readonly<Record<string, Chapter>> = {
  access: { brief: "access lists of hubs: rules, order, redirects", text: accessChapter },
  cascade: { brief: "joining a hub to one of another server", text: cascadeChapter },
  bridge: {
    brief: "hubs joined to interfaces of this machine, and vpn bridge",
    text: bridgeChapter,
  },
  client: { brief: "connecting a machine: accounts, addresses, certificates", text: clientChapter },
  configuration: { brief: "config.toml and the state directory", text: configurationChapter },
  "exit-codes": { brief: "what the exit codes mean", text: exitCodesChapter },
  fail2ban: { brief: "a filter for fail2ban, and how to install it", text: fail2banFilter },
  l3switch: { brief: "routing between hubs of this server", text: l3SwitchChapter },
  licences: {
    brief: "of the software that is part of this program",
    text: async () => (await import("../asset/licences.ts")).LICENCES,
  },
  login: { brief: "passwords, certificates, second factors, lock-out", text: loginChapter },
  floods: { brief: "storms, loops, and polls of silent hosts", text: floodsChapter },
  logs: { brief: "log files, security and packet logs of hubs, syslog", text: logsChapter },
  monitor: { brief: "captures of all that a hub carries, and their filters", text: monitorChapter },
  radius: { brief: "users of RADIUS servers and NT domains, accounting", text: radiusChapter },
  routes: { brief: "routes, DNS and the kill switch of a client", text: routesChapter },
  security: { brief: "what strangers see, limits, files, rights", text: securityChapter },
  securenat: { brief: "NAT, DHCP and DNS of a hub, in software", text: secureNatChapter },
  tables: {
    brief: "sessions, MAC and IP tables of hubs, and whose address is whose",
    text: tablesChapter,
  },
  systemd: { brief: "units for server and client", text: systemdChapter },
};

/** `vpn help [TOPIC]`. */
export async function help(
  environment: CommandEnvironment,
  _flags: object,
  topic?: string,
): Promise<ExitCode> {
  if (topic === undefined) {
    const width = Math.max(...Object.keys(CHAPTERS).map((name) => name.length));
    const lines = Object.entries(CHAPTERS).map(
      ([name, { brief }]) => `  vpn help ${name.padEnd(width)}  ${brief}\n`,
    );
    environment.stdout(`${lines.join("")}Commands and flags: vpn --help, vpn COMMAND --help\n`);
    return EXIT.ok;
  }
  const chapter = Object.hasOwn(CHAPTERS, topic) ? CHAPTERS[topic] : undefined;
  if (chapter === undefined) {
    const near = nearestName(topic, Object.keys(CHAPTERS));
    throw new ExitError(
      EXIT.usage,
      `Unknown topic "${topic}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
    );
  }
  const { text } = chapter;
  environment.stdout(typeof text === "string" ? text : await text());
  return EXIT.ok;
}
