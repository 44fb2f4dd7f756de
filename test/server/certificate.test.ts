import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { X509Certificate } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, ExitError } from "../../src/base/errors.ts";
import type { TlsSettings } from "../../src/config/server-config.ts";
import { loadCertificate, watchFiles } from "../../src/server/certificate.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { check, until } from "../support/process.ts";
import { recordingLog, TestServer } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

// A root, an issuer of its own, and certificates of that issuer, made once.
let pki = "";
const inPki = (name: string) => join(pki, name);
const pem = (name: string) => readFileSync(inPki(name), "utf8");

async function issue(name: string, issuer: string | undefined, extra: readonly string[] = []) {
  const files = ["-keyout", inPki(`${name}.key`), "-out", inPki(`${name}.crt`)];
  const by =
    issuer === undefined ? [] : ["-CA", inPki(`${issuer}.crt`), "-CAkey", inPki(`${issuer}.key`)];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await check([
    "openssl",
    "req",
    "-x509",
    ...curve,
    "-subj",
    `/CN=${name}`,
    ...by,
    ...files,
    ...extra,
  ]);
  chmodSync(inPki(`${name}.key`), 0o600);
}

beforeAll(async () => {
  pki = mkdtempSync(join(tmpdir(), "patchbay-pki-"));
  await issue("root", undefined);
  await issue("issuer", "root");
  await issue("leaf", "issuer");
  await issue("renewed", "issuer");
  await issue("expired", "issuer", ["-days", "1"]);
});
afterAll(() => rmSync(pki, { recursive: true, force: true }));

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "patchbay-cert-"));
  closers.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function settings(change: Partial<TlsSettings> = {}): TlsSettings {
  return { cert: undefined, key: undefined, min: "1.2", max: "1.3", ciphers: undefined, ...change };
}

const clock = new ManualClock();

async function load(cert: string, key: string, at = clock) {
  const log = recordingLog();
  const tls = await loadCertificate(settings({ cert, key }), pki, "a", { clock: at, log });
  const chain = tls.cert.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g) ?? [];
  const names = chain.map((one) => new X509Certificate(one).subject);
  return { tls, names, warnings: log.lines.map(({ event }) => event) };
}

const failure = (cert: string, key: string) =>
  load(cert, key).then(
    () => undefined,
    (error: unknown) => error,
  );

describe("loadCertificate()", () => {
  test("makes a pair at the first start, for the owner alone, and keeps it", async () => {
    const stateDir = folder();
    const log = recordingLog();
    const deps = { clock, log };
    const first = await loadCertificate(settings(), stateDir, "vpn.example", deps);
    const made = new X509Certificate(first.cert);
    expect(made.subject).toBe("CN=vpn.example");
    expect(made.subjectAltName).toBe("DNS:vpn.example");
    expect(made.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2_048);
    expect(statSync(join(stateDir, "tls.key")).mode & 0o777).toBe(0o600);
    const second = await loadCertificate(settings(), stateDir, "other.example", deps);
    expect(second).toEqual(first);
    expect(log.lines.map(({ event }) => event)).toEqual(["certificate_made"]);
  });

  test("CF-11 a key that everybody can read ends with 77, one of a group's does not", async () => {
    const at = folder();
    const key = join(at, "tls.key");
    copyFileSync(inPki("leaf.key"), key);
    for (const mode of [0o644, 0o604, 0o602]) {
      chmodSync(key, mode);
      const error = await failure(inPki("leaf.crt"), key);
      expect(error).toBeInstanceOf(ExitError);
      expect((error as ExitError).exitCode).toBe(77);
      expect((error as ExitError).message).toContain(`chmod 600 ${key}`);
    }
    chmodSync(key, 0o640);
    expect((await load(inPki("leaf.crt"), key)).names).toEqual(["CN=leaf"]);
  });

  test("CF-12 symlinks are followed; what is not a regular file is a fault of the file", async () => {
    const at = folder();
    symlinkSync(inPki("leaf.crt"), join(at, "crt"));
    symlinkSync(inPki("leaf.key"), join(at, "key"));
    expect((await load(join(at, "crt"), join(at, "key"))).names).toEqual(["CN=leaf"]);
    await check(["mkfifo", "-m", "600", join(at, "fifo")]);
    mkdirSync(join(at, "directory"), { mode: 0o700 });
    for (const bad of ["fifo", "directory", "missing"]) {
      for (const error of [
        await failure(join(at, bad), inPki("leaf.key")),
        await failure(inPki("leaf.crt"), join(at, bad)),
      ]) {
        expect(error).toBeInstanceOf(ConfigError);
        expect((error as ConfigError).message).toStartWith(join(at, bad));
      }
    }
    expect(await failure("/dev/zero", inPki("leaf.key"))).toBeInstanceOf(ConfigError);
  });

  test("CF-14 a key of another certificate is a fault that names both files", async () => {
    const error = await failure(inPki("leaf.crt"), inPki("issuer.key"));
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).toBe(
      `${inPki("issuer.key")} is not the key of any certificate in ${inPki("leaf.crt")}`,
    );
  });

  test("CF-14 an expired certificate is served, with a warning", async () => {
    const later = new ManualClock(Date.now() + 2 * 86_400_000);
    const { names, warnings } = await load(inPki("expired.crt"), inPki("expired.key"), later);
    expect([names, warnings]).toEqual([["CN=expired"], ["certificate_expired"]]);
  });

  test("CF-14 a chain is put in order, and what belongs nowhere is left out", async () => {
    const at = join(folder(), "chain.crt");
    for (const order of [
      ["leaf", "issuer", "root"],
      ["root", "issuer", "leaf"],
      ["issuer", "expired", "leaf", "root"],
    ]) {
      writeFileSync(at, order.map((name) => pem(`${name}.crt`)).join("text between\n"));
      const { names } = await load(at, inPki("leaf.key"));
      expect(names).toEqual(["CN=leaf", "CN=issuer", "CN=root"]);
    }
  });

  test("JR-17 garbage, an empty file, 2 MiB and an encrypted key are faults of the file", async () => {
    const at = folder();
    const bad = join(at, "bad.pem");
    const begin = "-----BEGIN CERTIFICATE-----\n";
    const garbage = [`${begin}AAAA\n-----END CERTIFICATE-----\n`, "", "x".repeat(2 << 20), begin];
    for (const content of garbage) {
      writeFileSync(bad, content, { mode: 0o600 });
      expect(await failure(bad, inPki("leaf.key"))).toBeInstanceOf(ConfigError);
      expect(await failure(inPki("leaf.crt"), bad)).toBeInstanceOf(ConfigError);
    }
    const cipher = ["-aes256", "-passout", "pass:secret", "-in", inPki("leaf.key")];
    await check(["openssl", "ec", ...cipher, "-out", bad]);
    chmodSync(bad, 0o600);
    const error = await failure(inPki("leaf.crt"), bad);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).not.toContain("PRIVATE");
  });
});

describe("watchFiles()", () => {
  async function watched(path: string) {
    const at = new ManualClock();
    let calls = 0;
    closers.push(watchFiles([path], at, () => calls++));
    return {
      calls: () => calls,
      /** Until the watcher has noticed something, and it has settled. */
      async settle() {
        await until("a notice", () => at.pending > 0, { everyMs: 1 });
        await Bun.sleep(20);
        at.advance(1_000);
      },
    };
  }

  test("calls back once for a file that was replaced, and for a symlink that was moved", async () => {
    const at = folder();
    const path = join(at, "crt");
    writeFileSync(join(at, "1"), "1");
    writeFileSync(join(at, "2"), "2");
    symlinkSync(join(at, "1"), path);
    const watch = await watched(path);
    symlinkSync(join(at, "2"), join(at, "new"));
    renameSync(join(at, "new"), path);
    await watch.settle();
    expect(watch.calls()).toBe(1);
    writeFileSync(join(at, "3"), "3");
    renameSync(join(at, "3"), path);
    await watch.settle();
    expect(watch.calls()).toBe(2);
  });

  test("does not call back for other files of the folder", async () => {
    const at = folder();
    writeFileSync(join(at, "crt"), "1");
    const watch = await watched(join(at, "crt"));
    writeFileSync(join(at, "other"), "1");
    await watch.settle();
    expect(watch.calls()).toBe(0);
  });

  test("a file that vanishes, and its folder with it, is a change and no crash", async () => {
    const at = folder();
    const path = join(at, "crt");
    writeFileSync(path, "1");
    const watch = await watched(path);
    unlinkSync(path);
    await watch.settle();
    expect(watch.calls()).toBe(1);
    rmSync(at, { recursive: true });
    await Bun.sleep(20);
  });
});

describe("a renewed certificate", () => {
  const subject = async (at: TestServer) => {
    const peer = await at.connect();
    return (peer.socket.getPeerCertificate() as { subject?: { CN?: string } }).subject?.CN;
  };

  async function start() {
    const files = folder();
    const cert = join(files, "tls.crt");
    const key = join(files, "tls.key");
    const put = (name: string) => {
      copyFileSync(inPki(`${name}.key`), `${key}.new`);
      chmodSync(`${key}.new`, 0o600);
      renameSync(`${key}.new`, key);
      copyFileSync(inPki(`${name}.crt`), `${cert}.new`);
      renameSync(`${cert}.new`, cert);
    };
    put("leaf");
    const port = await freePort();
    const at = await TestServer.start({
      tls: { cert, key },
      settings: { listen: [{ address: "127.0.0.1", port, enable: true }] },
    });
    closers.push(() => at.close());
    return { at, put, cert, key };
  }

  const event = (at: TestServer, name: string) =>
    until(`log ${name}`, () => at.log.lines.some((line) => line.event === name), { everyMs: 2 });

  test("is served to newcomers while sessions under the old one live on", async () => {
    const { at, put } = await start();
    expect(await subject(at)).toBe("leaf");
    const before = await at.session();
    const timers = at.clock.pending;
    put("renewed");
    await until("a notice", () => at.clock.pending > timers, { everyMs: 1 });
    await Bun.sleep(20);
    at.clock.advance(1_000);
    await event(at, "certificate_changed");
    expect(await subject(at)).toBe("renewed");
    const [session] = at.server.snapshot().hubs[0]!.sessions;
    expect([session?.user, session?.connections]).toEqual(["alice", 1]);
    expect(before.end).toBeUndefined();
  });

  test("that is broken leaves the old one in use, and says so", async () => {
    const { at, cert } = await start();
    const timers = at.clock.pending;
    writeFileSync(cert, "half of a certif");
    await until("a notice", () => at.clock.pending > timers, { everyMs: 1 });
    await Bun.sleep(20);
    at.clock.advance(1_000);
    await event(at, "certificate_bad");
    expect(await subject(at)).toBe("leaf");
  });

  test("CF-15 that a reload names but that is none leaves everything as it was", async () => {
    const { at, key } = await start();
    const peer = await at.session();
    const next = {
      ...at.config,
      hubs: [],
      tls: { ...at.config.tls, cert: inPki("issuer.crt"), key },
    };
    expect(await at.server.reload(next).catch((error: unknown) => error)).toBeInstanceOf(
      ConfigError,
    );
    expect(await subject(at)).toBe("leaf");
    expect(at.server.snapshot().hubs[0]?.sessions.length).toBe(1);
    expect(peer.end).toBeUndefined();
  });
});

/** A port that nobody listens on now. */
async function freePort(): Promise<number> {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
