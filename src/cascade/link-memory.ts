import { createHash } from "node:crypto";
import type { Random } from "../base/random.ts";
import type { CascadeConfig } from "../config/cascade-shape.ts";
import type { StateStore } from "../config/state-store.ts";
import type { KnownServer, ServerMemory } from "../session/verify.ts";
import type { OnlineWishes } from "./cascades.ts";

/** What cascades keep from one run to the next. */
export interface LinkMemory extends ServerMemory, OnlineWishes {
  /** By which other servers tell this installation from others: 16 bytes, made once. */
  installation(): Uint8Array;
}

const INSTALLATION = "server.installation";
const INSTALLATION_BYTES = 16;

/** In state.db: pinned certificates, and what commands have said that the file does not say. */
export class StoredLinkMemory implements LinkMemory {
  readonly #store: StateStore;
  readonly #random: Random;
  readonly #wall: () => number;

  /** @param wall milliseconds since 1970, now */
  constructor(store: StateStore, random: Random, wall: () => number) {
    this.#store = store;
    this.#random = random;
    this.#wall = wall;
  }

  installation(): Uint8Array {
    const known = this.#store.secret(INSTALLATION);
    if (known !== undefined) return known;
    const made = this.#random.bytes(INSTALLATION_BYTES);
    this.#store.setSecret(INSTALLATION, made);
    return made;
  }

  find(server: string): KnownServer | undefined {
    const key = server.toLowerCase();
    const found = this.#store.objects.dynamic("known_server").find(({ name }) => name === key);
    const certificate = found?.keys["certificate"];
    if (certificate === "system") return { kind: "system" };
    const hex = /^sha256:([0-9a-f]{64})$/.exec(String(certificate))?.[1];
    return hex === undefined ? undefined : { kind: "sha256", fingerprint: hex };
  }

  remember(server: string, known: KnownServer): void {
    const certificate = known.kind === "system" ? "system" : `sha256:${known.fingerprint}`;
    const { objects } = this.#store;
    objects.put("known_server", server.toLowerCase(), { certificate }, this.#wall());
  }

  howToTrust(sha256: string): string {
    return `verify = "sha256:${sha256}"`;
  }

  howToForget(_server: string, sha256: string): string {
    return `set ${this.howToTrust(sha256)}`;
  }

  wish(hub: string, config: CascadeConfig): boolean | undefined {
    const name = nameOf(hub, config);
    const found = this.#store.objects.overrides("cascade").find((entry) => entry.name === name);
    // The file has become another since, so it decides again (config-proposal.md 1).
    if (found === undefined || found.baseHash !== hashOf(config)) return undefined;
    const enable = found.keys?.["enable"];
    return typeof enable === "boolean" ? enable : undefined;
  }

  setWish(hub: string, config: CascadeConfig, online: boolean): void {
    const name = nameOf(hub, config);
    const { objects } = this.#store;
    if (online === config.enable) return objects.forgetOverride("cascade", name);
    const change = { name, baseHash: hashOf(config), keys: { enable: online } };
    objects.override("cascade", change, this.#wall());
  }
}

/** Hub names have no slash. */
function nameOf(hub: string, { name }: CascadeConfig): string {
  return `${hub}/${name}`.toLowerCase();
}

/** Of what the file says of a cascade; not of its secrets, which a hash without a key would give away to guesses. */
function hashOf({ credential, proxy, ...rest }: CascadeConfig): string {
  const way =
    proxy === undefined || proxy.kind === "direct" ? proxy : { ...proxy, password: undefined };
  const proof =
    credential.kind === "password"
      ? { kind: credential.kind, plain: credential.plain }
      : credential;
  const text = JSON.stringify([rest, way, proof]);
  return createHash("sha256").update(text).digest("hex");
}
