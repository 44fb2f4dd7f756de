import type { Clock } from "../base/clock.ts";
import { MAX_CRL_BYTES } from "../base/limits.ts";
import { messageOf, ProtocolError } from "../base/errors.ts";
import type { HubConfig, RevocationRule } from "../config/server-config.ts";
import { systemFiles } from "../config/source-files.ts";
import { derBlocks } from "../crypto/pem.ts";
import { isFromKnownIssuer } from "../crypto/revocation-list.ts";
import type { Log } from "../observe/log.ts";
import { watchFiles } from "./certificate.ts";

/** Reads revocation lists again as soon as their files change (AU-08): those who fetch them reload nobody. */
export class RevocationFiles {
  readonly #deps: { readonly clock: Clock; readonly log: Log };
  readonly #changed: (crl: readonly RevocationRule[]) => void;
  #unwatch: () => void = () => {};

  constructor(
    deps: { readonly clock: Clock; readonly log: Log },
    changed: (crl: readonly RevocationRule[]) => void,
  ) {
    this.#deps = deps;
    this.#changed = changed;
  }

  /** Looks at the lists of this configuration from now on. */
  watch({ name, crl, trustedCa }: Pick<HubConfig, "name" | "crl" | "trustedCa">): void {
    this.#unwatch();
    this.#unwatch = () => {};
    const paths = crl.flatMap((rule) => (rule.kind === "list" ? [rule.path] : []));
    if (paths.length === 0) return;
    let current = crl;
    const readAgain = () => {
      current = current.map((rule) => this.#readAgain(name, rule, trustedCa));
      this.#deps.log.info("crl_changed", `Revocation lists of hub ${name} were read again`, {
        hub: name,
      });
      this.#changed(current);
    };
    try {
      this.#unwatch = watchFiles(paths, this.#deps.clock, readAgain);
    } catch (error) {
      // The folder went away since the list was read, or the system has no more watches to give.
      const text = `Changes of revocation lists are seen at a reload only: ${messageOf(error)}`;
      this.#deps.log.warn("crl_unwatched", text, { hub: name });
    }
  }

  close(): void {
    this.#unwatch();
  }

  /** A list that cannot be read leaves the one before it in force. */
  #readAgain(hub: string, rule: RevocationRule, trustedCa: readonly Uint8Array[]): RevocationRule {
    if (rule.kind === "fields") return rule;
    const { path } = rule;
    const found = tryReadList(path, trustedCa);
    if (typeof found !== "string") return { ...rule, der: found };
    const text = `The old revocation list stays: ${path} ${found}`;
    this.#deps.log.error("crl_bad", text, { hub, path });
    return rule;
  }
}

/** The DER of a list, or what is wrong with its file. */
function tryReadList(path: string, trustedCa: readonly Uint8Array[]): Uint8Array | string {
  const file = systemFiles.read(path, MAX_CRL_BYTES);
  if (file.kind === "missing") return "does not exist";
  if (file.kind === "refused") return file.reason;
  const [der] = derBlocks(file.bytes, "X509 CRL");
  if (der === undefined) return "holds no list";
  try {
    return isFromKnownIssuer(der, trustedCa) ? der : "is not signed by the trusted CA of its name";
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return `holds no list that can be read: ${messageOf(error)}`;
  }
}
