import { readFileSync } from "node:fs";

/** Largest list that is read: that of Debian has 13 KB, IANA's 1 MB. */
const MAX_BYTES = 4 << 20;

/**
 * Names of ports by the list of this machine, services(5), which is read when the first name is asked for. Where two lines name
 * a port, the first one does.
 */
export function serviceNames(
  path = "/etc/services",
): (port: number, transport: "tcp" | "udp") => string | undefined {
  let names: Services | undefined;
  return (port, transport) => (names ??= readServices(path))[transport].get(port);
}

type Services = Readonly<Record<"tcp" | "udp", Map<number, string>>>;

function readServices(path: string): Services {
  const services: Services = { tcp: new Map(), udp: new Map() };
  for (const line of textOf(path).split("\n")) {
    const [, name, port, transport] = /^\s*([^\s#]+)\s+(\d{1,5})\/(tcp|udp)\b/.exec(line) ?? [];
    if (name === undefined) continue;
    const names = services[transport as keyof Services];
    if (!names.has(Number(port))) names.set(Number(port), name);
  }
  return services;
}

/** Without a list ports have numbers only. */
function textOf(path: string): string {
  try {
    const bytes = readFileSync(path);
    return bytes.length > MAX_BYTES ? "" : bytes.toString("latin1");
  } catch {
    return "";
  }
}
