import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { type Running, until } from "./process.ts";

// DHCP clients as systems have them. Each tells a script of ours what it was granted, and the script gives the address
// to the interface and notes the rest: nothing outside the namespace is touched.

export const DHCP_PROGRAMS = ["dhclient", "udhcpc", "dhcpcd"] as const;
export type DhcpProgram = (typeof DHCP_PROGRAMS)[number];

/** What a client was granted, in one spelling for all of them. */
export interface Granted {
  readonly address: string;
  readonly mask: string;
  readonly router: string;
  readonly dns: string;
  readonly domain: string;
  readonly ntp: string;
  /** Option 121 as the program spells it. */
  readonly routes: string;
  readonly leaseSeconds: string;
  readonly server: string;
}

type Names = Readonly<Record<keyof Granted, string>>;

const DHCPCD: Names = {
  address: "new_ip_address",
  mask: "new_subnet_mask",
  router: "new_routers",
  dns: "new_domain_name_servers",
  domain: "new_domain_name",
  ntp: "new_ntp_servers",
  routes: "new_classless_static_routes",
  leaseSeconds: "new_dhcp_lease_time",
  server: "new_dhcp_server_identifier",
};
const BUSYBOX: Names = {
  address: "ip",
  mask: "subnet",
  router: "router",
  dns: "dns",
  domain: "domain",
  ntp: "ntpsrv",
  routes: "staticroutes",
  leaseSeconds: "lease",
  server: "serverid",
};
const NAMES: Readonly<Record<DhcpProgram, Names>> = {
  dhcpcd: DHCPCD,
  dhclient: { ...DHCPCD, routes: "new_rfc3442_classless_static_routes" },
  udhcpc: BUSYBOX,
};

/** What each program says to its script once it has an address, or has it again. */
const GRANTS: Readonly<Record<DhcpProgram, string>> = {
  dhclient: "BOUND|RENEW|REBIND|REBOOT",
  udhcpc: "bound|renew",
  dhcpcd: "BOUND|RENEW|REBIND|REBOOT",
};

/** A running client of one interface. */
export class DhcpProgramClient {
  readonly #running: Running;
  readonly #notes: string;
  readonly #names: Names;

  private constructor(running: Running, notes: string, names: Names) {
    this.#running = running;
    this.#notes = notes;
    this.#names = names;
  }

  /** Starts it in the foreground. One that was run before under the same `name` asks for its address again. */
  static start(
    program: DhcpProgram,
    at: Namespace,
    device: string,
    name = `${program}-${device}`,
  ): DhcpProgramClient {
    const folder = at.world.folder(`${at.name}-${name}`);
    const notes = join(folder, "notes");
    const script = join(folder, "script");
    writeFileSync(notes, "");
    writeFileSync(script, scriptOf(program, device, notes));
    chmodSync(script, 0o755);
    const running = at.spawn(commandOf(program, { device, folder, script, host: name }));
    return new DhcpProgramClient(running, notes, NAMES[program]);
  }

  /** All grants so far, renewals among them. */
  get grants(): Granted[] {
    const notes = readFileSync(this.#notes, "utf8");
    return [...notes.matchAll(/^== grant\n(.*?)^== end$/gms)].map(([, text = ""]) =>
      grantOf(text, this.#names),
    );
  }

  /** Until it has been granted something so many times; gives the last of it. */
  waitGranted(times = 1): Promise<Granted> {
    return until("a lease", () => this.grants.slice(times - 1)[0], {
      deadlineMs: 30_000,
      explain: () => this.#running.output(),
    });
  }

  get pid(): number {
    return this.#running.pid;
  }

  output(): string {
    return this.#running.output();
  }

  /** SIGTERM lets each of them do as it does when a machine goes down. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#running.stop(signal);
  }
}

function grantOf(text: string, names: Names): Granted {
  const values = new Map(
    text.split("\n").map((line) => {
      const [name = "", ...value] = line.split("=");
      return [name, value.join("=")];
    }),
  );
  const read = (key: keyof Granted) => values.get(names[key]) ?? "";
  return {
    address: read("address"),
    mask: read("mask"),
    router: read("router"),
    dns: read("dns"),
    domain: read("domain"),
    ntp: read("ntp"),
    routes: read("routes"),
    leaseSeconds: read("leaseSeconds"),
    server: read("server"),
  };
}

function scriptOf(program: DhcpProgram, device: string, notes: string): string {
  const names = NAMES[program];
  return `#!/bin/sh
case "\${reason:-$1}" in
  PREINIT|deconfig) ip link set ${device} up ;;
  ${GRANTS[program]})
    ip addr replace "$${names.address}/$${names.mask}" dev ${device}
    [ -z "$${names.router}" ] || ip route replace default via "$${names.router}" dev ${device}
    { echo "== grant"; env; echo "== end"; } >> ${notes} ;;
esac
exit 0
`;
}

interface Setting {
  readonly device: string;
  readonly folder: string;
  readonly script: string;
  readonly host: string;
}

function commandOf(program: DhcpProgram, { device, folder, script, host }: Setting): string[] {
  const config = join(folder, "config");
  switch (program) {
    case "dhclient": {
      writeFileSync(config, DHCLIENT_CONFIG.replace("NAME", host));
      const leases = join(folder, "leases");
      if (!existsSync(leases)) writeFileSync(leases, "");
      const files = ["-sf", script, "-cf", config, "-lf", leases, "-pf", join(folder, "pid")];
      return ["dhclient", "-4", "-d", ...files, device];
    }
    case "udhcpc": {
      const asked = ["-O", "ntpsrv", "-O", "staticroutes", "-x", `hostname:${host}`];
      return ["udhcpc", "-f", "-R", "-i", device, "-s", script, ...asked, "-t", "10", "-T", "1"];
    }
    case "dhcpcd": {
      writeFileSync(config, DHCPCD_CONFIG.replace("NAME", host));
      // Its folders are the same for all namespaces; in the mounts of \`ip netns exec\` they are its own.
      const own = ["/run/dhcpcd", "/var/lib/dhcpcd"];
      const mounts = own.map((path) => `mkdir -p ${path} && mount -t tmpfs none ${path}`);
      const run = `exec dhcpcd -4 -B -d --noarp -f ${config} -c ${script} ${device}`;
      return ["sh", "-c", [...mounts, run].join(" && ")];
    }
    default:
      return program satisfies never;
  }
}

const DHCLIENT_CONFIG = `
option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;
send host-name "NAME";
request subnet-mask, routers, domain-name, domain-name-servers, ntp-servers, rfc3442-classless-static-routes;
timeout 20;
retry 2;
initial-interval 1;
`;

const DHCPCD_CONFIG = `
hostname NAME
clientid
persistent
option domain_name_servers, domain_name, ntp_servers, classless_static_routes
require dhcp_server_identifier
`;
