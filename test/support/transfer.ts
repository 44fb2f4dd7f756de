import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";

// Traffic through a tunnel, from one namespace to another.

export interface Transfer {
  readonly bytes: number;
  /** Of what was sent and of what arrived, in hexadecimal. */
  readonly sent: string;
  readonly received: string;
  readonly ms: number;
}

const PEER = join(import.meta.dir, "transfer-peer.ts");
const DEADLINE_MS = 60_000;

/** "noise" does not shrink when it is compressed, "text" shrinks to less than a third. */
export type TransferContent = "noise" | "text";

/** Sends bytes that never repeat over TCP to `address` of the receiver and gives the SHA-256 of both sides. */
export async function transfer(
  from: Namespace,
  to: Namespace,
  address: string,
  bytes = 200_000_000,
  content: TransferContent = "noise",
): Promise<Transfer> {
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const receiver = to.spawn([process.execPath, PEER, "receive", address, String(port)]);
  await to.waitListening(port);
  const sender = await from.check(
    [process.execPath, PEER, "send", address, String(port), String(bytes), content],
    { deadlineMs: DEADLINE_MS },
  );
  const end = await receiver.ended(10_000);
  if (end !== 0) throw new Error(`the receiver ended with ${end}\n${receiver.output()}`);
  const [out, back] = [sender.stdout, receiver.lines.stdout.join("")].map(
    (text) => JSON.parse(text) as { bytes: number; sha256: string; ms: number },
  );
  return { bytes: back!.bytes, sent: out!.sha256, received: back!.sha256, ms: out!.ms };
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Round trips in milliseconds, in the order they came. */
  readonly times: readonly number[];
}

/** ICMP echo, IPv4 or IPv6 by the address. Link-local addresses carry their device: fe80::1%tap0. */
export async function ping(
  from: Namespace,
  address: string,
  options: { count?: number; size?: number; noFragment?: boolean } = {},
): Promise<PingResult> {
  const count = options.count ?? 5;
  const finished = await from.run(
    [
      "ping",
      "-n",
      "-c",
      String(count),
      "-i",
      "0.02",
      "-W",
      "1",
      ...(options.size === undefined ? [] : ["-s", String(options.size)]),
      ...(options.noFragment ? ["-M", "do"] : []),
      address,
    ],
    { deadlineMs: 15_000 },
  );
  const sent = /(\d+) packets transmitted, (\d+) received/.exec(finished.stdout);
  if (sent === null) throw new Error(`ping said: ${finished.stdout}${finished.stderr}`);
  const times = [...finished.stdout.matchAll(/time=([\d.]+) ms/g)].map((found) => Number(found[1]));
  return { sent: Number(sent[1]), received: Number(sent[2]), times };
}

/** One echo request; "unreachable" where this side has no route or address for it. */
export async function echo(
  from: Namespace,
  address: string,
): Promise<"answered" | "lost" | "unreachable"> {
  const finished = await from.run(["ping", "-n", "-c", "1", "-W", "0.5", address]);
  if (finished.exitCode === 0) return "answered";
  return finished.exitCode === 1 ? "lost" : "unreachable";
}

/** Until the first echo comes back, asking anew for the MAC each time. */
export async function waitPing(
  from: Namespace,
  device: string,
  address: string,
  deadlineMs = 15_000,
): Promise<void> {
  let last = "";
  await until(
    `an answer of ${address} to ${from.name}`,
    async () => {
      await forgetNeighbours(from, device);
      const finished = await from.run(["ping", "-n", "-c", "1", "-W", "0.3", address]);
      last = finished.stdout + finished.stderr;
      return finished.exitCode === 0;
    },
    { deadlineMs, everyMs: 50, explain: () => last },
  );
}

/** Empties the ARP and neighbour tables of a device. */
export async function forgetNeighbours(at: Namespace, device: string): Promise<void> {
  await at.ip("neigh", "flush", "dev", device);
}

/** The MAC that ARP or neighbour discovery found for an address, or undefined. */
export async function neighbour(
  at: Namespace,
  device: string,
  address: string,
): Promise<string | undefined> {
  const shown = await at.ip("-j", "neigh", "show", "to", address, "dev", device);
  const rows = JSON.parse(shown.stdout || "[]") as { lladdr?: string }[];
  return rows[0]?.lladdr;
}

/** True where ARP requests for `address` are answered: no entry is used, each request is a broadcast. */
export async function arping(from: Namespace, device: string, address: string): Promise<boolean> {
  await forgetNeighbours(from, device);
  await ping(from, address, { count: 1 });
  return (await neighbour(from, device, address)) !== undefined;
}
