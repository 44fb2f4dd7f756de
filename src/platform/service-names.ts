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
  let names: ReadonlyMap<string, string> | undefined;
  return (port, transport) => (names ??= readServices(path)).get(`${port}/${transport}`);
}

function readServices(path: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const line of textOf(path).split("\n")) {
    const [, name, key] = /^\s*([^\s#]+)\s+(\d{1,5}\/(?:tcp|udp))\b/.exec(line) ?? [];
    if (name !== undefined && key !== undefined && !names.has(key)) names.set(key, name);
  }
  return names;
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
