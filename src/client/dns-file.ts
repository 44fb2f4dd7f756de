import {
  chmodSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { FileBefore, UndoStep } from "./undo-step.ts";

// resolv.conf(5) itself, where no program keeps it: replaced whole, and put back as it was.

export type ResolvConfStep = Extract<UndoStep, { kind: "resolv.conf" }>;

export interface DnsSettings {
  /** Texts of addresses, the first is asked first. */
  readonly servers: readonly string[];
  readonly domain: string | undefined;
}

const MARK = "# Written by Patchbay VPN";
/** What the C library reads of them; more lines are passed over (resolv.conf(5)). */
const MAX_SERVERS = 3;
/** Where the file is a mount of its own, as in containers, it cannot be replaced but only written. */
const CANNOT_REPLACE = new Set(["EBUSY", "EXDEV"]);

/** The text of a resolv.conf with these settings. */
export function resolvConfText(account: string, { servers, domain }: DnsSettings): string {
  const lines = [
    `${MARK} for the account ${account.replaceAll(/[^ -~]/g, "?")}; what stood here comes back when it ends.`,
    ...(domain === undefined ? [] : [`search ${domain}`]),
    ...servers.slice(0, MAX_SERVERS).map((server) => `nameserver ${server}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** True for a text that an account of ours wrote. */
export function isOurs(text: string): boolean {
  return text.startsWith(MARK);
}

/** What stands at the path. A link is kept as a link: what it points to belongs to another program. */
export function readBefore(path: string): FileBefore {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return { kind: "absent" };
  if (stat.isSymbolicLink()) return { kind: "link", target: readlinkSync(path) };
  return { kind: "file", text: readFileSync(path, "utf8"), mode: stat.mode & 0o7777 };
}

/** Puts a file of this text in the place of what is there; a reader sees the one or the other. */
export function replaceFile(path: string, text: string, mode: number): void {
  const fresh = `${path}.patchbay`;
  writeFileSync(fresh, text);
  // Everybody's resolver reads it, whatever mask a service has for its own files.
  chmodSync(fresh, mode);
  try {
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    if (!CANNOT_REPLACE.has((error as { code?: string }).code ?? "")) throw error;
    writeFileSync(path, text);
  }
}

/** Puts back what stood there, if what we wrote still stands. False where somebody else has written since. */
export function restoreResolvConf({ path, before, written }: ResolvConfStep): boolean {
  const now = readBefore(path);
  if (now.kind !== "file" || now.text !== written) return isAsBefore(now, before);
  switch (before.kind) {
    case "absent":
      rmSync(path, { force: true });
      return true;
    case "file":
      replaceFile(path, before.text, before.mode);
      return true;
    case "link": {
      const fresh = `${path}.patchbay`;
      rmSync(fresh, { force: true });
      symlinkSync(before.target, fresh);
      renameSync(fresh, path);
      return true;
    }
  }
}

/** The crash came between the record and the deed, or the undoing was done already. */
function isAsBefore(now: FileBefore, before: FileBefore): boolean {
  if (now.kind === "file" && before.kind === "file") return now.text === before.text;
  if (now.kind === "link" && before.kind === "link") return now.target === before.target;
  return now.kind === before.kind;
}
