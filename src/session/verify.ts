import { X509Certificate } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import { tryParseAddress } from "../base/ip.ts";
import type { VerifySetting } from "../config/client-config.ts";
import { nameOfPem, readCertificates } from "../config/pem-source.ts";
import type { ShownCertificate } from "./dial-target.ts";

/** How the server's certificate is judged: `verify` of an account (config-proposal.md 7.4). */
export type VerifyMode =
  | { readonly kind: "auto" }
  | { readonly kind: "system" }
  /** PEM or DER text of a file: that certificate, or one issued by a CA in it. */
  | {
      readonly kind: "file";
      readonly path: string;
      readonly certificates: readonly X509Certificate[];
    }
  /** Lower-case hex of 32 bytes. */
  | { readonly kind: "sha256"; readonly fingerprint: string }
  | { readonly kind: "off" };

/** What was learned about a server on its first use. */
export type KnownServer =
  /** Its certificate was valid by the system's CAs; one that is not would be a step back. */
  | { readonly kind: "system" }
  /** Lower-case hex of the SHA-256 of its certificate. */
  | { readonly kind: "sha256"; readonly fingerprint: string };

/** Where the memory of first uses is kept. Servers are named `HOST:PORT`. */
export interface ServerMemory {
  find(server: string): KnownServer | undefined;
  remember(server: string, known: KnownServer): void;
  /** Completes "To trust it: ". */
  howToTrust(sha256: string): string;
  /** Completes "If the change is known to be right, ". */
  howToForget(server: string, sha256: string): string;
}

/**
 * Judges certificates of one server. What was accepted on a first use is written down by `confirm`, once the
 * server has proved to be the right one by letting us in.
 */
export class CertificateVerifier {
  readonly #mode: VerifyMode;
  readonly #server: { readonly host: string; readonly port: number };
  readonly #memory: ServerMemory;
  readonly #clock: Clock;
  readonly #authorities: () => readonly X509Certificate[];
  #pending: KnownServer | undefined;

  constructor(
    mode: VerifyMode,
    server: { readonly host: string; readonly port: number },
    memory: ServerMemory,
    clock: Clock,
    authorities: () => readonly X509Certificate[] = () => [],
  ) {
    this.#mode = mode;
    this.#server = server;
    this.#memory = memory;
    this.#clock = clock;
    this.#authorities = authorities;
  }

  /** Nothing tells this server from another: shown in every status. */
  get isInsecure(): boolean {
    return this.#mode.kind === "off";
  }

  /** True, or an error with code `certificate` or `certificate_changed`: neither is worth another try. */
  verify(certificate: ShownCertificate): true | VpnError {
    const fingerprint = certificate.sha256;
    switch (this.#mode.kind) {
      case "off":
        return true;
      case "system":
        return this.#isVouchedFor(certificate) || this.#refuse(problemOf(certificate), fingerprint);
      case "sha256":
        return this.#mode.fingerprint === fingerprint
          ? true
          : this.#changed(`is sha256:${fingerprint}, expected sha256:${this.#mode.fingerprint}`);
      case "file":
        return this.#verifyByFile(certificate, this.#mode.path, this.#mode.certificates);
      case "auto":
        return this.#verifyByMemory(certificate, fingerprint);
    }
  }

  /**
   * The server let us in. Answers the fingerprint that was pinned just now, undefined where nothing was.
   */
  confirm(): string | undefined {
    const pending = this.#pending;
    if (pending === undefined) return undefined;
    this.#pending = undefined;
    this.#memory.remember(this.#name, pending);
    return pending.kind === "sha256" ? pending.fingerprint : undefined;
  }

  get #name(): string {
    const { host, port } = this.#server;
    return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  }

  #verifyByMemory(certificate: ShownCertificate, fingerprint: string): true | VpnError {
    const known = this.#memory.find(this.#name);
    this.#pending = undefined;
    if (this.#isVouchedFor(certificate)) {
      if (known?.kind !== "system") this.#pending = { kind: "system" };
      return true;
    }
    if (known === undefined) {
      this.#pending = { kind: "sha256", fingerprint };
      return true;
    }
    if (known.kind === "sha256" && known.fingerprint === fingerprint) return true;
    const before =
      known.kind === "sha256" ? `sha256:${known.fingerprint}` : "one valid by the system's CAs";
    return this.#changed(
      `has changed: it is sha256:${fingerprint} now and was ${before}. Somebody may be listening in. ` +
        `If the change is known to be right, ${this.#memory.howToForget(this.#name, fingerprint)}`,
    );
  }

  #verifyByFile(
    certificate: ShownCertificate,
    path: string,
    accepted: readonly X509Certificate[],
  ): true | VpnError {
    let leaf: X509Certificate;
    try {
      leaf = new X509Certificate(certificate.der);
    } catch (error) {
      return this.#refuse(messageOf(error));
    }
    // A certificate named outright is trusted for what it is: neither its dates nor its names matter.
    if (accepted.some((known) => Buffer.compare(known.raw, leaf.raw) === 0)) return true;
    const issuer = issuerOf(leaf, accepted);
    if (issuer === undefined) {
      return this.#refuse(`it is none of ${path} and was issued by none`, certificate.sha256);
    }
    const fault = this.#faultOf(leaf, issuer);
    return fault === undefined || this.#refuse(fault);
  }

  /** By the system's CAs, or by one that was named besides them. */
  #isVouchedFor(certificate: ShownCertificate): boolean {
    if (certificate.authorized) return true;
    const authorities = this.#authorities();
    if (authorities.length === 0) return false;
    try {
      const leaf = new X509Certificate(certificate.der);
      const issuer = issuerOf(leaf, authorities);
      return issuer !== undefined && this.#faultOf(leaf, issuer) === undefined;
    } catch {
      // What cannot be read is nobody's certificate.
      return false;
    }
  }

  /** Why a certificate of a trusted issuer is not good here; undefined for a good one. */
  #faultOf(leaf: X509Certificate, issuer: X509Certificate): string | undefined {
    const now = this.#clock.wall();
    for (const [what, checked] of [
      ["it", leaf],
      ["its issuer", issuer],
    ] as const) {
      if (now < Date.parse(checked.validFrom))
        return `${what} is valid from ${checked.validFrom} only`;
      if (now > Date.parse(checked.validTo)) return `${what} expired on ${checked.validTo}`;
    }
    const { host } = this.#server;
    const isNamed = tryParseAddress(host) === undefined ? leaf.checkHost(host) : leaf.checkIP(host);
    return isNamed === undefined ? `it does not name ${host}` : undefined;
  }

  /** With `fingerprint` the message tells how to trust this very certificate. */
  #refuse(why: string, fingerprint?: string): VpnError {
    const remedy =
      fingerprint === undefined ? "" : ` (to trust it: ${this.#memory.howToTrust(fingerprint)})`;
    return new VpnError(
      "certificate",
      `Cannot trust the certificate of ${this.#name}: ${why}${remedy}`,
    );
  }

  #changed(how: string): VpnError {
    return new VpnError("certificate_changed", `The certificate of ${this.#name} ${how}`);
  }
}

function issuerOf(
  leaf: X509Certificate,
  authorities: readonly X509Certificate[],
): X509Certificate | undefined {
  return authorities.find((ca) => ca.ca && leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
}

function problemOf(certificate: ShownCertificate): string {
  return certificate.problem ?? "no CA of the system vouches for it";
}

/** The setting of an account with its file read. @throws ExitError 66 or 65 for a file that cannot be used */
export function loadVerifyMode(setting: VerifySetting): VerifyMode {
  switch (setting.kind) {
    case "auto":
    case "system":
    case "off":
      return { kind: setting.kind };
    case "sha256":
      return { kind: "sha256", fingerprint: setting.fingerprint.toHex() };
    case "file":
    case "pem":
      return { kind: "file", path: nameOfPem(setting), certificates: readCertificates(setting) };
  }
}
