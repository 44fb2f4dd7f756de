import type { Authority } from "../auth/authority.ts";
import { NtlmAuthority } from "../auth/ntlm-authority.ts";
import { RadiusAccounting, type AccountedHandle } from "../auth/radius-accounting.ts";
import { RadiusAuthority } from "../auth/radius-authority.ts";
import type { AccountedSession } from "../auth/radius-record.ts";
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { HubConfig, RadiusSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";

export interface OutsideDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What a hub asks outside, and whom it tells of its sessions. */
export interface OutsideConfig {
  readonly radius: RadiusSettings | undefined;
  /** The helper for users of an NT domain; undefined without such users. */
  readonly ntlmAuth: string | undefined;
}

export function outsideOf(config: HubConfig, ntlmAuth: string): OutsideConfig {
  const hasNt = config.users.some(
    ({ credential }) => credential.kind === "outside" && credential.authority === "nt",
  );
  const { radius, options } = config;
  const named = radius !== undefined && options.UseHubNameAsRadiusNasId === 1;
  return {
    radius: named ? { ...radius, nasId: config.name } : radius,
    ntlmAuth: hasNt ? ntlmAuth : undefined,
  };
}

export interface OutsideStats {
  readonly radius: RadiusAuthority["stats"] | undefined;
  readonly accounting: RadiusAccounting["stats"] | undefined;
}

/** Owns the sockets and helpers by which one hub asks somebody outside. */
export class OutsideAuthorities {
  readonly #hub: string;
  readonly #deps: OutsideDeps;
  #config: OutsideConfig = { radius: undefined, ntlmAuth: undefined };
  #radius: RadiusAuthority | undefined;
  #nt: NtlmAuthority | undefined;
  #accounting: RadiusAccounting | undefined;

  constructor(hub: string, config: OutsideConfig, deps: OutsideDeps) {
    this.#hub = hub;
    this.#deps = deps;
    this.reconfigure(config);
  }

  /** The server begins: what its last life left open has ended. */
  serverBegan(): void {
    this.#accounting?.on(this.#hub);
  }

  /** Who is asked stays the same where the settings do; logins that wait for another one are told that nobody answers. */
  reconfigure(next: OutsideConfig): void {
    const { radius, ntlmAuth } = this.#config;
    this.#config = next;
    if (!Bun.deepEquals(radius, next.radius, true)) {
      this.#exchangeRadius(radius, next.radius);
    }
    if (ntlmAuth !== next.ntlmAuth) {
      this.#nt?.close();
      this.#nt =
        next.ntlmAuth === undefined ? undefined : new NtlmAuthority(next.ntlmAuth, this.#deps);
    }
  }

  authority(kind: "radius" | "nt"): Authority | undefined {
    return kind === "radius" ? this.#radius : this.#nt;
  }

  /** Told of a session from now on, if anybody wants to hear of them. */
  account(session: AccountedSession): AccountedHandle | undefined {
    return this.#accounting?.start(session);
  }

  /** Counters of what was asked and told so far; those of the questions begin anew with other settings. */
  get stats(): OutsideStats {
    return { radius: this.#radius?.stats, accounting: this.#accounting?.stats };
  }

  get realm(): string {
    return this.#config.radius?.realm ?? "";
  }

  /** Ends what is asked and tells that no session is left; waits a little for that to be heard. */
  async close(reason: "hub_removed" | "server_stopping"): Promise<void> {
    this.#radius?.close();
    this.#nt?.close();
    await this.#accounting?.close(this.#hub, reason);
  }

  #exchangeRadius(before: RadiusSettings | undefined, next: RadiusSettings | undefined): void {
    this.#radius?.close();
    const asks = next !== undefined && next.servers.length > 0;
    this.#radius = asks ? new RadiusAuthority(next, this.#deps) : undefined;
    if (this.#accounting === undefined) {
      const tells = next !== undefined && next.accounting.length > 0;
      this.#accounting = tells ? new RadiusAccounting(next, this.#deps) : undefined;
      return;
    }
    // It is never thrown away: sessions that it was told of end in the same books.
    const settings = next ?? (before === undefined ? undefined : { ...before, accounting: [] });
    if (settings !== undefined) this.#accounting.reconfigure(settings);
  }
}
