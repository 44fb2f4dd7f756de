import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";

// Proxies that people use, each started in a namespace as its manual says.

/** Programs of the proxies below. */
export const PROXY_PROGRAMS = ["tinyproxy", "microsocks", "danted", "ssh", "sshd"] as const;

export interface ProxyLogin {
  readonly user: string;
  readonly password: string;
}

/** Has `host` mean `address` for the programs of this namespace alone; needs a call before they start. */
export function nameHost(at: Namespace, host: string, address: string): void {
  // ip-netns(8) puts these over the files of /etc.
  const folder = join("/etc/netns", at.netns);
  mkdirSync(folder, { recursive: true });
  at.world.onClose(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "hosts"), `127.0.0.1 localhost\n${address} ${host}\n`);
}

/** HTTP CONNECT to the given port only, with Basic credentials where there is a login. */
export async function startTinyproxy(
  at: Namespace,
  options: { port: number; connectPort: number; login?: ProxyLogin },
): Promise<void> {
  const { login } = options;
  await start(at, options.port, "tinyproxy", [
    `Port ${options.port}`,
    "Timeout 600",
    "MaxClients 20",
    "DisableViaHeader Yes",
    `ConnectPort ${options.connectPort}`,
    login === undefined ? "" : `BasicAuth ${login.user} ${login.password}`,
  ]);
}

/** SOCKS5, with user and password where there is a login. */
export async function startMicrosocks(
  at: Namespace,
  options: { port: number; login?: ProxyLogin },
): Promise<void> {
  const { login } = options;
  const who = login === undefined ? [] : ["-u", login.user, "-P", login.password];
  at.spawn(["microsocks", "-p", String(options.port), ...who]);
  await at.waitListening(options.port);
}

/** SOCKS4 and SOCKS5 without a login, from any device to any. */
export async function startDante(
  at: Namespace,
  options: { port: number; inside: string; outside: string },
): Promise<void> {
  // One statement to a line, in the order of danted.conf(5).
  const anywhere = "from: 0.0.0.0/0 to: 0.0.0.0/0";
  await start(at, options.port, "danted", [
    "logoutput: stderr",
    `internal: ${options.inside} port = ${options.port}`,
    `external: ${options.outside}`,
    "clientmethod: none",
    "socksmethod: none",
    "user.privileged: root",
    "user.unprivileged: nobody",
    "client pass {",
    anywhere,
    "}",
    "socks pass {",
    anywhere,
    "protocol: tcp",
    "proxyprotocol: socks_v4 socks_v5",
    "}",
  ]);
}

/**
 * The SOCKS4a of `ssh -D`, over a server of its own that it starts itself. Only dante speaks SOCKS4 besides, and
 * takes names by SOCKS5 alone.
 */
export async function startSshProxy(
  at: Namespace,
  options: { port: number; inside: string },
): Promise<void> {
  const folder = at.world.folder("ssh");
  for (const key of ["host", "user"]) {
    await at.check(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(folder, key)]);
  }
  // Where the server's unprivileged part lives; Debian's service makes it.
  mkdirSync("/run/sshd", { recursive: true });
  const server = [
    "/usr/sbin/sshd -i -f /dev/null -o StrictModes=no -o PermitRootLogin=yes -o UsePAM=no",
    `-h ${join(folder, "host")} -o AuthorizedKeysFile=${join(folder, "user.pub")}`,
  ];
  const quiet = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
  const words = `-F /dev/null -N -T ${quiet} -i ${join(folder, "user")}`.split(" ");
  const listen = ["-D", `${options.inside}:${options.port}`];
  at.spawn(["ssh", ...words, ...listen, "-o", `ProxyCommand=${server.join(" ")}`, "root@proxy"]);
  await at.waitListening(options.port);
}

async function start(
  at: Namespace,
  port: number,
  program: "tinyproxy" | "danted",
  config: readonly string[],
): Promise<void> {
  const path = join(at.world.directory, `${program}-${port}.conf`);
  writeFileSync(path, `${config.join("\n")}\n`);
  const flags = program === "tinyproxy" ? ["-d", "-c", path] : ["-f", path];
  const running = at.spawn([program, ...flags]);
  await until(
    `${program} on port ${port}`,
    async () => {
      if (!running.alive) throw new Error(`${program} ended\n${running.output()}`);
      return (await at.run(["ss", "-Hltn", `sport = :${port}`])).stdout !== "";
    },
    { explain: () => running.output() },
  );
}
