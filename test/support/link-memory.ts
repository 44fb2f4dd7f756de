import type { LinkMemory } from "../../src/cascade/link-memory.ts";
import type { CascadeConfig } from "../../src/config/cascade-shape.ts";
import type { KnownServer } from "../../src/session/verify.ts";

/** What cascades remember, for as long as the test goes on. */
export class MapLinkMemory implements LinkMemory {
  readonly known = new Map<string, KnownServer>();
  readonly wishes = new Map<string, boolean>();
  installation = () => new Uint8Array(16).fill(3);
  find = (server: string) => this.known.get(server);
  remember = (server: string, known: KnownServer) => void this.known.set(server, known);
  howToTrust = (sha256: string) => `verify = "sha256:${sha256}"`;
  howToForget = (_: string, sha256: string) => `set ${this.howToTrust(sha256)}`;
  wish = (hub: string, { name }: CascadeConfig) => this.wishes.get(`${hub}/${name}`);
  setWish = (hub: string, { name }: CascadeConfig, online: boolean) =>
    void this.wishes.set(`${hub}/${name}`, online);
}
