import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { Running, until } from "./process.ts";

// Debian's freeradius in a namespace, with a configuration of its own: a list of users, PAP, and a file with the
// accounting records.

export const RADIUS_SECRET = "s3cret key";
export const RADIUS_PORTS = { auth: 1812, accounting: 1813 } as const;

/** One accounting record: attributes as freeradius writes them, without quotes. */
export type RadiusRecord = Readonly<Record<string, string>>;

export interface FreeRadiusOptions {
  /** Versions before 3.2.5 seal answers only where their configuration says so; this one does unless told not to. */
  readonly sealsAnswers?: boolean;
  /** Requests without a seal are ignored unless told otherwise; the reference sends such. */
  readonly wantsSeal?: boolean;
}

function configuration(folder: string, options: FreeRadiusOptions): string {
  const seal =
    options.sealsAnswers === false
      ? ""
      : "update reply {\n      &Message-Authenticator := 0x00\n    }";
  const wantsSeal = options.wantsSeal === false ? "no" : "yes";
  return `
prefix = /usr
raddbdir = ${folder}
logdir = ${folder}
radacctdir = ${folder}
run_dir = ${folder}
libdir = /usr/lib/freeradius
max_request_time = 30
cleanup_delay = 1
hostname_lookups = no
proxy_requests = no
log {
  destination = stdout
}
security {
  max_attributes = 200
  reject_delay = 0
  status_server = no
}
client any {
  ipaddr = *
  secret = "${RADIUS_SECRET}"
  require_message_authenticator = ${wantsSeal}
}
client any6 {
  ipv6addr = ::/0
  secret = "${RADIUS_SECRET}"
  require_message_authenticator = ${wantsSeal}
}
thread pool {
  start_servers = 1
  max_servers = 4
  min_spare_servers = 1
  max_spare_servers = 2
}
modules {
  pap {
  }
  files {
    usersfile = ${folder}/users
  }
  detail {
    filename = ${folder}/detail
    permissions = 0600
  }
  always handled {
    rcode = handled
  }
}
server default {
  listen {
    type = auth
    ipaddr = *
    port = ${RADIUS_PORTS.auth}
  }
  listen {
    type = auth
    ipv6addr = ::
    port = ${RADIUS_PORTS.auth}
  }
  listen {
    type = acct
    ipaddr = *
    port = ${RADIUS_PORTS.accounting}
  }
  authorize {
    if (&User-Name == "challenged") {
      update control {
        &Response-Packet-Type := Access-Challenge
      }
      update reply {
        &Reply-Message := "Your code?"
        &State := 0x01
      }
      ${seal}
      handled
    }
    files
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
  }
  post-auth {
    ${seal}
    Post-Auth-Type REJECT {
      ${seal}
    }
  }
  accounting {
    detail
  }
}
`;
}

export class FreeRadius {
  readonly #running: Running;
  readonly #folder: string;

  private constructor(running: Running, folder: string) {
    this.#running = running;
    this.#folder = folder;
  }

  /** Starts it with these users, in the form of users(5), and waits until it serves. */
  static async start(
    at: Namespace,
    users: string,
    options: FreeRadiusOptions = {},
  ): Promise<FreeRadius> {
    const folder = at.world.folder(`${at.name}-freeradius`);
    writeFileSync(join(folder, "radiusd.conf"), configuration(folder, options));
    writeFileSync(join(folder, "users"), users);
    const radius = new FreeRadius(at.spawn(["freeradius", "-X", "-d", folder]), folder);
    await until("freeradius serves", () => radius.output().includes("Ready to process requests"), {
      deadlineMs: 20_000,
      explain: () => radius.output(),
    });
    return radius;
  }

  /** What it tells about every packet. */
  output(): string {
    return this.#running.output();
  }

  /** Attributes of the requests that came in, one text a request. */
  requests(code: "Access-Request" | "Accounting-Request"): string[] {
    const start = new RegExp(`^\\(\\d+\\) Received ${code} `);
    const found: string[] = [];
    let current: string[] | undefined;
    for (const line of this.#running.lines.stdout) {
      if (start.test(line)) current = [];
      else if (!/^\(\d+\) {3}\S+ = /.test(line)) {
        if (current !== undefined) found.push(current.join("\n"));
        current = undefined;
      } else current?.push(line.replace(/^\(\d+\)\s+/, ""));
    }
    return found;
  }

  /** Accounting records, in the order in which they came. */
  records(): RadiusRecord[] {
    let text: string;
    try {
      text = readFileSync(join(this.#folder, "detail"), "utf8");
    } catch {
      // It is made by the first record.
      return [];
    }
    return text
      .split("\n\n")
      .filter((record) => record.trim() !== "")
      .map((record) =>
        Object.fromEntries(
          [...record.matchAll(/^\t([\w:-]+) = "?(.*?)"?$/gm)].map((found) => [
            found[1]!,
            found[2]!,
          ]),
        ),
      );
  }

  async stop(): Promise<void> {
    await this.#running.stop();
  }
}
