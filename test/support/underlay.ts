import type { Namespace } from "./namespace.ts";

// What a tunnel does on the network below it, as the kernel counts it: neither end's word is taken for it.

export interface TcpUse {
  readonly localPort: number;
  /** Bytes that the peer acknowledged, and bytes that came from it. */
  readonly sent: number;
  readonly received: number;
}

/** Established TCP connections from this namespace to `port` of others. */
export async function tcpUses(at: Namespace, port: number): Promise<TcpUse[]> {
  const filter = ["state", "established", `( dport = :${port} )`];
  const shown = await at.check(["ss", "-HOtni", ...filter]);
  return shown.stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const count = (name: string) => Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0);
      const localPort = Number(/^\S+\s+\S+\s+\S+:(\d+)\s/.exec(line)?.[1]);
      return { localPort, sent: count("bytes_acked"), received: count("bytes_received") };
    });
}

/** UDP datagrams that came into this namespace, and that left it. */
export async function udpUse(at: Namespace): Promise<{ received: number; sent: number }> {
  const shown = await at.check(["cat", "/proc/net/snmp"]);
  const [names, values] = shown.stdout
    .split("\n")
    .filter((line) => line.startsWith("Udp:"))
    .map((line) => line.split(" "));
  const count = (name: string) => Number(values?.[names?.indexOf(name) ?? -1]);
  return { received: count("InDatagrams"), sent: count("OutDatagrams") };
}

/** Bytes that came in by a device and went out by it. */
export async function deviceUse(
  at: Namespace,
  device: string,
): Promise<{ received: number; sent: number }> {
  const shown = await at.ip("-j", "-s", "link", "show", "dev", device);
  const [{ stats64 }] = JSON.parse(shown.stdout) as [
    { stats64: Record<"rx" | "tx", { bytes: number }> },
  ];
  return { received: stats64.rx.bytes, sent: stats64.tx.bytes };
}

/** Lets nothing of one TCP connection of this namespace through any more, in either direction; nobody is told. */
export async function stall(at: Namespace, localPort: number): Promise<void> {
  const rules = `table inet stall {
    chain in { type filter hook input priority 0; tcp dport ${localPort} drop; }
    chain out { type filter hook output priority 0; tcp sport ${localPort} drop; }
  }`;
  await at.check(["nft", "-f", "-"], { stdin: rules });
}
