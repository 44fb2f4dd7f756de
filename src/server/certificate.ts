import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  chmodSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";
import { ConfigError, ExitError, EXIT, messageOf } from "../base/errors.ts";
import { MAX_PEM_BYTES } from "../config/scalar-shapes.ts";
import type { TlsSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import type { ServerTls } from "../transport/tls-listener.ts";

/** Renewal writes several files one after the other: they are read when this long nothing moved, in milliseconds. */
const SETTLE_MS = 1_000;

/** Where certificate and key lie: the configured files, or the generated ones in the state directory. */
export function certificatePaths(
  settings: TlsSettings,
  stateDir: string,
): { cert: string; key: string } {
  return {
    cert: settings.cert ?? join(stateDir, "tls.crt"),
    key: settings.key ?? join(stateDir, "tls.key"),
  };
}

/**
 * The certificate to serve with. Without configured files one is generated on the first start and kept, its
 * key readable by the owner alone.
 * @throws ConfigError when the files do not make a pair; ExitError 77 when others can read the key.
 */
export async function loadCertificate(
  settings: TlsSettings,
  stateDir: string,
  serverName: string,
  deps: { clock: Clock; log: Log },
): Promise<ServerTls> {
  const paths = certificatePaths(settings, stateDir);
  if (settings.cert === undefined && !(existsSync(paths.cert) && existsSync(paths.key))) {
    // Loaded when needed: most starts find a certificate, and the library is large.
    const { generateSelfSigned } = await import("../crypto/self-signed.ts");
    const made = await generateSelfSigned(serverName, deps.clock.wall());
    writeOwnerOnly(paths.key, made.key);
    writeOwnerOnly(paths.cert, made.cert);
    deps.log.info("certificate_made", `Generated a certificate for ${serverName}`, {
      path: paths.cert,
    });
  }
  return {
    ...readPair(paths, deps),
    min: settings.min,
    max: settings.max,
    ciphers: settings.ciphers,
  };
}

function readPair(
  paths: { cert: string; key: string },
  { clock, log }: { clock: Clock; log: Log },
): { cert: string; key: string } {
  // A group of its own for keys, as Debian's ssl-cert, is no fault.
  if ((statOf(paths.key, "tls.key").mode & 0o007) !== 0) {
    throw new ExitError(
      EXIT.noPermission,
      `${paths.key}: the private key can be read by everybody; run: chmod 600 ${paths.key}`,
    );
  }
  const keyPem = readPem(paths.key, "tls.key");
  const chain = certificatesOf(readPem(paths.cert, "tls.cert"), paths.cert);
  let key;
  try {
    key = createPrivateKey(keyPem);
  } catch (error) {
    throw new ConfigError(`${paths.key}: not a private key in PEM form: ${messageOf(error)}`, {
      key: "tls.key",
    });
  }
  const leaf = chain.find((certificate) => certificate.checkPrivateKey(key));
  if (leaf === undefined) {
    throw new ConfigError(`${paths.key} is not the key of any certificate in ${paths.cert}`, {
      key: "tls.key",
    });
  }
  if (Date.parse(leaf.validTo) < clock.wall()) {
    log.warn("certificate_expired", `The certificate has expired on ${leaf.validTo}`, {
      path: paths.cert,
    });
  }
  return { cert: inOrder(leaf, chain).map(String).join(""), key: keyPem };
}

/** The leaf, then each issuer of the one before; what belongs nowhere is left out. */
function inOrder(leaf: X509Certificate, all: readonly X509Certificate[]): X509Certificate[] {
  const ordered = [leaf];
  for (;;) {
    const last = ordered[ordered.length - 1]!;
    const issuer = all.find((one) => !ordered.includes(one) && last.checkIssued(one));
    if (issuer === undefined) return ordered;
    ordered.push(issuer);
  }
}

function certificatesOf(pem: string, path: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g);
  if (blocks === null) {
    throw new ConfigError(`${path}: no certificate in PEM form`, { key: "tls.cert" });
  }
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new ConfigError(`${path}: not a certificate: ${messageOf(error)}`, { key: "tls.cert" });
  }
}

function readPem(path: string, key: string): string {
  const stat = statOf(path, key);
  if (!stat.isFile() || stat.size > MAX_PEM_BYTES) {
    throw new ConfigError(`${path}: not a file of at most ${MAX_PEM_BYTES} bytes`, { key });
  }
  return readFileSync(path, "utf8");
}

function statOf(path: string, key: string) {
  try {
    return statSync(path);
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read: ${messageOf(error)}`, { key });
  }
}

/** Whole or not at all, and never readable by others, not even for a moment. */
function writeOwnerOnly(path: string, text: string): void {
  const fresh = `${path}.new`;
  writeFileSync(fresh, text, { mode: 0o600 });
  chmodSync(fresh, 0o600);
  renameSync(fresh, path);
}

/**
 * Calls `changed` when one of the files was replaced. Their folders are watched, since a renewed certificate
 * is a new file or a moved symlink. Returns the function that ends it.
 */
export function watchFiles(
  paths: readonly string[],
  clock: Clock,
  changed: () => void,
): () => void {
  let settle: Timer | undefined;
  const stamp = () =>
    paths
      .map((path) => statSync(path, { throwIfNoEntry: false }))
      .map((stat) => `${stat?.mtimeMs} ${stat?.ino}`)
      .join();
  let seen = stamp();
  const look = () => {
    settle?.cancel();
    settle = clock.after(SETTLE_MS, () => {
      const now = stamp();
      if (now === seen) return;
      seen = now;
      changed();
    });
  };
  const watchers = [...new Set(paths.map((path) => dirname(path)))].map((folder) =>
    watch(folder, look),
  );
  return () => {
    settle?.cancel();
    for (const watcher of watchers) watcher.close();
  };
}
