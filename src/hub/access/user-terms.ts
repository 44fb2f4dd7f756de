import type { UserMatch } from "../../config/access-rule.ts";
import type { PortIdentity } from "../port-identity.ts";
import type { NameFiles } from "./name-files.ts";

/** Term of rules that name nobody: all ports meet it. */
export const ANYBODY = 0;

/** What rules compare of a name: no NT domain before it, no realm behind it, no case (hub.md 7.1). */
export function plainName(name: string): string {
  const trimmed = name.trim();
  const user = trimmed.slice(trimmed.indexOf("\\") + 1);
  const at = user.indexOf("@");
  return (at > 0 ? user.slice(0, at) : user).toUpperCase();
}

interface FileTerm {
  readonly term: number;
  readonly isInclude: boolean;
  readonly path: string;
}

/** The ways in which the rules of one list name users, numbered; each port meets some of them. */
export class UserTerms {
  readonly #names = new Map<string, number>();
  readonly #files: FileTerm[] = [];
  #last = ANYBODY;

  /** The number of what a rule says, ANYBODY where it says nothing. */
  add(match: UserMatch | undefined): number {
    if (match === undefined) return ANYBODY;
    if (match.kind === "name") {
      const name = plainName(match.name);
      const known = this.#names.get(name);
      if (known === undefined) this.#names.set(name, ++this.#last);
      return known ?? this.#last;
    }
    const isInclude = match.kind === "include";
    const { path } = match;
    const known = this.#files.find((one) => one.path === path && one.isInclude === isInclude);
    if (known !== undefined) return known.term;
    this.#files.push({ term: ++this.#last, isInclude, path });
    return this.#last;
  }

  /** Files that rules refer to. */
  get files(): readonly string[] {
    return [...new Set(this.#files.map(({ path }) => path))];
  }

  /** The terms that a port meets, each once, ANYBODY among them. */
  of(port: PortIdentity, files: NameFiles): readonly number[] {
    const user = plainName(port.user);
    const names = port.group === undefined ? [user] : [user, plainName(port.group)];
    const met = new Set([ANYBODY, ...names.map((name) => this.#names.get(name) ?? ANYBODY)]);
    // Files are about people, not about the server's own sessions (hub.md 7.2).
    if (port.isNetworkSession) {
      for (const { term, isInclude, path } of this.#files)
        if (files.has(path, user) === isInclude) met.add(term);
    }
    return [...met].toSorted((a, b) => a - b);
  }
}
