import { join } from "node:path";
import type { Namespace } from "./namespace.ts";

export interface StreamFlow {
  readonly sent: number;
  /** Different numbers that arrived. */
  readonly received: number;
  readonly longestGapMs: number;
}

const PEER = join(import.meta.dir, "stream-peer.py");

/** Numbered datagrams of several UDP flows, each from a port of its own; gives what became of each flow. */
export async function streams(
  from: Namespace,
  to: Namespace,
  address: string,
  shape: { flows: number; perSecond: number; seconds: number },
): Promise<StreamFlow[]> {
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const receiver = to.spawn(["python3", PEER, "receive", address, String(port)]);
  await to.waitListening(port, { protocol: "udp" });
  const numbers = [shape.flows, shape.perSecond, shape.seconds].map(String);
  const sender = await from.check(["python3", PEER, "send", address, String(port), ...numbers], {
    deadlineMs: 1000 * shape.seconds + 20_000,
  });
  const end = await receiver.ended(10_000);
  if (end !== 0) throw new Error(`the receiver ended with ${end}\n${receiver.output()}`);
  const { sent } = JSON.parse(sender.stdout) as { sent: number };
  const flows = JSON.parse(receiver.lines.stdout.join("")) as Omit<StreamFlow, "sent">[];
  if (flows.length !== shape.flows) {
    throw new Error(`${flows.length} of ${shape.flows} flows arrived at all`);
  }
  return flows.map((flow) => ({ sent, ...flow }));
}

export function lostOf(flows: readonly StreamFlow[]): number {
  return flows.reduce((sum, { sent, received }) => sum + sent - received, 0);
}
