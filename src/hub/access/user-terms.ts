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

/** The ways in which the rules of one list name users, numbered; each port meets some of them. */
export class UserTerms {
  readonly #ids = new Map<string, number>();
  /** By number - 1. */
  readonly #matches: UserMatch[] = [];

  /** The number of what a rule says, ANYBODY where it says nothing. */
  add(match: UserMatch | undefined): number {
    if (match === undefined) return ANYBODY;
    const key =
      match.kind === "name" ? `name:${plainName(match.name)}` : `${match.kind}:${match.path}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#matches.push(match.kind === "name" ? { ...match, name: plainName(match.name) } : match);
    this.#ids.set(key, this.#matches.length);
    return this.#matches.length;
  }

  /** Files that rules refer to. */
  get files(): readonly string[] {
    const paths = this.#matches.flatMap((match) => (match.kind === "name" ? [] : [match.path]));
    return [...new Set(paths)];
  }

  /** The terms that a port meets, ascending, ANYBODY among them. */
  of(port: PortIdentity, files: NameFiles): readonly number[] {
    const user = plainName(port.user);
    const group = port.group === undefined ? undefined : plainName(port.group);
    const met = [ANYBODY];
    for (const [index, match] of this.#matches.entries()) {
      const isMet =
        match.kind === "name"
          ? match.name === user || match.name === group
          : // Files are about people, not about the server's own sessions (hub.md 7.2).
            port.isNetworkSession && files.has(match.path, user) === (match.kind === "include");
      if (isMet) met.push(index + 1);
    }
    return met;
  }
}
