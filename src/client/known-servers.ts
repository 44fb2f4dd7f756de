import type { KnownServer, ServerMemory } from "../session/verify.ts";
import { findLine, readLines, withoutLine, writeLines } from "./line-file.ts";

/**
 * Servers seen before, in a text file of one line each: `HOST:PORT sha256:HEX` or `HOST:PORT system`. A person
 * may edit it.
 */
export class KnownServers implements ServerMemory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** A line that is not understood counts as one that is not there; it is kept until the server is seen again. */
  find(server: string): KnownServer | undefined {
    const entry = findLine(readLines(this.path), server)?.[0];
    if (entry === "system") return { kind: "system" };
    const fingerprint = /^sha256:([0-9a-f]{64})$/i.exec(entry ?? "")?.[1];
    return fingerprint === undefined
      ? undefined
      : { kind: "sha256", fingerprint: fingerprint.toLowerCase() };
  }

  /** Puts the server's line in the place of an older one. */
  remember(server: string, known: KnownServer): void {
    const entry = known.kind === "system" ? "system" : `sha256:${known.fingerprint}`;
    const others = withoutLine(readLines(this.path), server);
    writeLines(this.path, [...others, `${server.toLowerCase()} ${entry}`]);
  }

  howToTrust(sha256: string): string {
    return `--verify sha256:${sha256}`;
  }

  howToForget(server: string): string {
    return `delete the line ${server} of ${this.path}`;
  }
}
