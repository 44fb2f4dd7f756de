import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { forgetNeighbours, ping, waitPing } from "../support/transfer.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { vpncmd } from "../support/softether-daemon.ts";
import {
  ALSO_GOOD,
  dressClient,
  GOOD,
  HUB,
  INSIDE,
  openSite,
  SERVER_FROM,
  type Site,
  startClient,
  startServer,
} from "../support/tunnel.ts";

const SECRET = "hush";
const REDIRECT = `http://portal.example/?who=<INFO>|${SECRET}`;
const PEER = join(import.meta.dir, "../support/web-peer.ts");
const DELAY_MS = 120;
const ANY_MAC = "00-00-00-00-00-00/00-00-00-00-00-00";

/** One rule, as our file and as the reference's tool are told it. */
interface Rule {
  readonly ours: string;
  readonly action: "pass" | "discard";
  readonly theirs: Readonly<Record<string, string | number>>;
  readonly family?: 4 | 6;
}

const PORT = {
  noRule: 8000,
  bySource: 8001,
  byDestination: 8002,
  established: 8003,
  firstMatch: 8004,
  redirected: 8005,
  firstOfRange: 8010,
  lastOfRange: 8019,
};

const tcp = (port: number | string) =>
  `proto = "tcp", family = "ipv4", to_port = ${JSON.stringify(port)}`;
const RULES: readonly Rule[] = [
  {
    ours: `action = "drop", from_user = "LEFT", ${tcp(PORT.bySource)}`,
    action: "discard",
    theirs: { SRCUSERNAME: "LEFT", PROTOCOL: "tcp", DESTPORT: PORT.bySource },
  },
  {
    ours: `action = "drop", tcp_state = "established", ${tcp(PORT.established)}`,
    action: "discard",
    // vpncmd 5.01 stores the contrary of what it is told.
    theirs: { PROTOCOL: "tcp", DESTPORT: PORT.established, TCPSTATE: "unestablished" },
  },
  {
    ours: `action = "pass", from = "${INSIDE.left.ipv4}/32", ${tcp(PORT.firstMatch)}`,
    action: "pass",
    theirs: { SRCIP: `${INSIDE.left.ipv4}/32`, PROTOCOL: "tcp", DESTPORT: PORT.firstMatch },
  },
  {
    ours: `action = "drop", ${tcp(PORT.firstMatch)}`,
    action: "discard",
    theirs: { PROTOCOL: "tcp", DESTPORT: PORT.firstMatch },
  },
  {
    ours: `action = "drop", ${tcp(`${PORT.firstOfRange}-${PORT.lastOfRange}`)}`,
    action: "discard",
    theirs: { PROTOCOL: "tcp", DESTPORT: `${PORT.firstOfRange}-${PORT.lastOfRange}` },
  },
  {
    ours: `action = "pass", redirect = "${REDIRECT}", ${tcp(PORT.redirected)}`,
    action: "pass",
    theirs: { PROTOCOL: "tcp", DESTPORT: PORT.redirected, REDIRECTURL: REDIRECT },
  },
  {
    ours: `action = "pass", from_user = "left", proto = "icmp", delay = "${DELAY_MS}ms"`,
    action: "pass",
    theirs: { SRCUSERNAME: "left", PROTOCOL: "icmpv4", DELAY: DELAY_MS },
  },
  {
    ours: `action = "drop", proto = "tcp", family = "ipv6", to_port = ${PORT.noRule}`,
    action: "discard",
    theirs: { PROTOCOL: "tcp", DESTPORT: PORT.noRule },
    family: 6,
  },
  {
    ours: `action = "drop", to_user = "left", ${tcp(PORT.byDestination)}`,
    action: "discard",
    theirs: { DESTUSERNAME: "left", PROTOCOL: "tcp", DESTPORT: PORT.byDestination },
  },
];

function ourTables(): string {
  return RULES.map(({ ours }) => `[[hub.${HUB}.access]]\n${ours.replaceAll(", ", "\n")}\n`).join(
    "",
  );
}

/** The command with all that it would ask for otherwise. */
function theirCommand({ action, theirs, family = 4 }: Rule, position: number): string {
  const any = family === 4 ? "0.0.0.0/0" : "::/0";
  const isPlain = !("DELAY" in theirs) && !("REDIRECTURL" in theirs);
  const values = {
    MEMO: "none",
    PRIORITY: (position + 1) * 100,
    SRCUSERNAME: "",
    DESTUSERNAME: "",
    SRCMAC: ANY_MAC,
    DESTMAC: ANY_MAC,
    SRCIP: any,
    DESTIP: any,
    PROTOCOL: "",
    SRCPORT: "",
    DESTPORT: "",
    TCPSTATE: "",
    ...(isPlain ? {} : { DELAY: 0, JITTER: 0, LOSS: 0, REDIRECTURL: "" }),
    ...theirs,
  };
  const name = `AccessAdd${isPlain ? "" : "Ex"}${family === 6 ? "6" : ""}`;
  const flags = Object.entries(values).map(([key, value]) => `/${key}:${value}`);
  return [name, action, ...flags].join(" ");
}

interface Answer {
  readonly outcome: "answered" | "silent" | "unreachable";
  readonly head: readonly string[];
}

/** @param questions ADDRESS/PORT */
async function ask(from: Namespace, questions: readonly string[]): Promise<readonly Answer[]> {
  const finished = await from.check([process.execPath, PEER, "ask", ...questions], {
    deadlineMs: 30_000,
  });
  return JSON.parse(finished.stdout) as readonly Answer[];
}

/** Starts all that the site needs; gives the device of the client on the left. */
async function furnish(site: Site, kind: "ours" | "reference"): Promise<string> {
  await startServer(kind, site.server, { more: ourTables() });
  const clients = [
    await startClient("ours", site.left, SERVER_FROM.left, GOOD),
    await startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD),
  ] as const;
  await Promise.all(clients.map((client) => client.waitConnected()));
  await dressClient(clients[0], "left");
  await dressClient(clients[1], "right");
  for (const [at, address] of [
    [site.left, INSIDE.right],
    [site.right, INSIDE.left],
  ] as const) {
    const device = (at === site.left ? clients[0] : clients[1]).device;
    at.spawn([process.execPath, PEER, "serve", ...Object.values(PORT).map(String)]);
    await at.waitListening(PORT.lastOfRange);
    await waitPing(at, device, address.ipv4);
    await waitPing(at, device, address.ipv6);
  }
  if (kind === "reference")
    await vpncmd(
      site.server,
      ["localhost:5555", "/SERVER"],
      [`Hub ${HUB}`, ...RULES.map(theirCommand)],
    );
  return clients[0].device;
}

/** What becomes of each kind of traffic to one side. */
async function outcomes(
  from: Namespace,
  to: { readonly ipv4: string; readonly ipv6: string },
): Promise<Record<string, string>> {
  const questions = {
    ...Object.fromEntries(Object.entries(PORT).map(([name, port]) => [name, `${to.ipv4}/${port}`])),
    ipv6: `${to.ipv6}/${PORT.noRule}`,
    otherIpv6: `${to.ipv6}/${PORT.bySource}`,
  };
  const answers = await ask(from, Object.values(questions));
  return Object.fromEntries(
    Object.keys(questions).map((name, at) => {
      const { outcome, head } = answers[at]!;
      return [name, `${outcome} ${head[0]!.slice(9, 12)}`.trim()];
    }),
  );
}

const FROM_LEFT = {
  noRule: "answered 200",
  bySource: "unreachable",
  byDestination: "answered 200",
  established: "silent",
  firstMatch: "answered 200",
  redirected: "answered 302",
  firstOfRange: "unreachable",
  lastOfRange: "unreachable",
  ipv6: "unreachable",
  otherIpv6: "answered 200",
};
const FROM_RIGHT = {
  ...FROM_LEFT,
  bySource: "answered 200",
  byDestination: "unreachable",
  firstMatch: "unreachable",
};

describeSystem("an access list, ours and the reference's", SOFTETHER_PROGRAMS, () => {
  test.concurrent.each(["ours", "reference"] as const)(
    "decides alike on the same traffic: %s",
    async (kind) => {
      await using site = await openSite();
      const device = await furnish(site, kind);
      const found = await Promise.all([
        outcomes(site.left, INSIDE.right),
        outcomes(site.right, INSIDE.left),
      ]);
      expect(found).toEqual([FROM_LEFT, FROM_RIGHT]);

      await forgetNeighbours(site.left, device);
      const { times } = await ping(site.left, INSIDE.right.ipv4, { count: 3 });
      // The reference counts time in steps of some milliseconds.
      expect(Math.min(...times)).toBeGreaterThan(DELAY_MS - 20);

      const [answer] = await ask(site.left, [`${INSIDE.right.ipv4}/${PORT.redirected}`]);
      const location = answer!.head.find((line) => line.startsWith("Location: "))!.slice(10);
      const [, who] = /^http:\/\/portal\.example\/\?who=(.*)$/.exec(location) ?? [];
      const parts = decodeURIComponent(who ?? "").split("|");
      expect(parts.slice(0, 3)).toEqual([
        "left",
        expect.stringMatching(/^SID-LEFT-\d+$/),
        "10.91.1.2",
      ]);
      expect(parts[3]).toMatch(/^20\d{12}$/);
      const signed = `${parts.slice(0, 4).join("|")}|${SECRET}`;
      expect(parts[4]).toBe(createHash("sha1").update(signed).digest("hex").toUpperCase());
      expect(parts).toHaveLength(5);
    },
  );
});
