import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitError } from "../../src/base/errors.ts";
import {
  CertificateVerifier,
  type KnownServer,
  loadVerifyMode,
  type ServerMemory,
  type VerifyMode,
} from "../../src/session/verify.ts";
import type { ShownCertificate } from "../../src/session/dial-target.ts";
import { ManualClock } from "../support/manual-clock.ts";

const SERVER = { host: "vpn.example", port: 443 };

/** Certificates: a CA, two leaves of it, and two that vouch for themselves. */
let folder: string;
const shown = (name: string, authorized = false): ShownCertificate => {
  const der = new Uint8Array(new X509Certificate(readFileSync(join(folder, `${name}.pem`))).raw);
  const sha256 = new Bun.CryptoHasher("sha256").update(der).digest("hex");
  const problem = authorized ? undefined : "DEPTH_ZERO_SELF_SIGNED_CERT";
  return { der, sha256, authorized, problem };
};

const DAY_MS = 86_400_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

async function makeCertificates(): Promise<void> {
  const make = async (
    name: string,
    issuer?: { name: string; keys: CryptoKeyPair },
    names: string[] = [],
  ) => {
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: `CN=${issuer?.name ?? name}`,
      notBefore: new Date(Date.now() - DAY_MS / 2),
      notAfter: new Date(Date.now() + 10 * DAY_MS),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: (issuer?.keys ?? keys).privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(issuer === undefined, undefined, true),
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: /^[0-9.]+$/.test(value) ? "ip" : "dns", value })),
        ),
      ],
    });
    writeFileSync(join(folder, `${name}.pem`), `${certificate.toString("pem")}\n`);
    return { name, keys };
  };
  const ca = await make("ca");
  await make("self");
  await make("self2");
  await make("leaf", ca, ["vpn.example", "192.0.2.1"]);
  await make("other", ca, ["other.example"]);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
  await makeCertificates();
});
afterAll(() => rmSync(folder, { recursive: true }));

class Memory implements ServerMemory {
  readonly entries = new Map<string, KnownServer>();
  find = (server: string) => this.entries.get(server);
  remember = (server: string, known: KnownServer) => void this.entries.set(server, known);
  howToTrust = (sha256: string) => `--verify sha256:${sha256}`;
  howToForget = (server: string) => `delete ${server} of known_servers`;
}

function verifier(
  mode: VerifyMode,
  options: { memory?: Memory; wall?: number; host?: string; authority?: string } = {},
) {
  const server = { ...SERVER, host: options.host ?? SERVER.host };
  const clock = new ManualClock(options.wall ?? Date.now());
  const authorities = [options.authority]
    .filter((name) => name !== undefined)
    .map((name) => new X509Certificate(shown(name).der));
  const memory = options.memory ?? new Memory();
  return new CertificateVerifier(mode, server, memory, clock, () => authorities);
}

const codeOf = (verdict: true | { code: string }) => (verdict === true ? true : verdict.code);

describe("CertificateVerifier with auto", () => {
  test("accepts an unknown certificate once, and pins it when the server has let us in", () => {
    const memory = new Memory();
    const judge = verifier({ kind: "auto" }, { memory });
    expect(judge.verify(shown("self"))).toBe(true);
    expect(memory.entries.size).toBe(0);
    expect(judge.confirm()).toBe(shown("self").sha256);
    expect(memory.find("vpn.example:443")).toEqual({
      kind: "sha256",
      fingerprint: shown("self").sha256,
    });
    expect(judge.confirm()).toBeUndefined();
    expect(verifier({ kind: "auto" }, { memory }).verify(shown("self"))).toBe(true);
  });

  test("does not pin a server that did not let us in", () => {
    const memory = new Memory();
    expect(verifier({ kind: "auto" }, { memory }).verify(shown("self"))).toBe(true);
    expect(verifier({ kind: "auto" }, { memory }).verify(shown("self2"))).toBe(true);
  });

  test("HS-20 refuses a changed certificate with both fingerprints and what to do", () => {
    const memory = new Memory();
    memory.remember("vpn.example:443", { kind: "sha256", fingerprint: shown("self").sha256 });
    const verdict = verifier({ kind: "auto" }, { memory }).verify(shown("self2"));
    if (verdict === true) throw new Error("accepted");
    expect(verdict.code).toBe("certificate_changed");
    for (const part of [
      shown("self").sha256,
      shown("self2").sha256,
      "known_servers",
      "vpn.example:443",
    ]) {
      expect(verdict.message).toContain(part);
    }
  });

  test("accepts what the system's CAs vouch for, also in the place of a pinned one", () => {
    const memory = new Memory();
    memory.remember("vpn.example:443", { kind: "sha256", fingerprint: shown("self").sha256 });
    const judge = verifier({ kind: "auto" }, { memory });
    expect(judge.verify(shown("leaf", true))).toBe(true);
    expect(judge.confirm()).toBeUndefined();
    expect(memory.find("vpn.example:443")).toEqual({ kind: "system" });
  });

  test("refuses a step back from a CA's certificate to one that nobody vouches for", () => {
    const memory = new Memory();
    memory.remember("vpn.example:443", { kind: "system" });
    expect(codeOf(verifier({ kind: "auto" }, { memory }).verify(shown("self")))).toBe(
      "certificate_changed",
    );
  });
});

describe("CertificateVerifier with a CA besides those of the system (hub.md 13)", () => {
  test("takes its word as theirs with auto and system", () => {
    const memory = new Memory();
    const judge = verifier({ kind: "auto" }, { memory, authority: "ca" });
    expect(judge.verify(shown("leaf"))).toBe(true);
    expect(judge.confirm()).toBeUndefined();
    expect(memory.find("vpn.example:443")).toEqual({ kind: "system" });
    expect(verifier({ kind: "system" }, { authority: "ca" }).verify(shown("leaf"))).toBe(true);
  });

  test("does not take what it issued for another host, what it did not issue, and what is no certificate", () => {
    const judge = verifier({ kind: "system" }, { authority: "ca" });
    expect(codeOf(judge.verify(shown("other")))).toBe("certificate");
    expect(codeOf(judge.verify(shown("self")))).toBe("certificate");
    expect(codeOf(judge.verify({ ...shown("leaf"), der: new Uint8Array(40) }))).toBe("certificate");
  });

  test("does not ask it where a very certificate was named", () => {
    const fingerprint = shown("self").sha256;
    const judge = verifier({ kind: "sha256", fingerprint }, { authority: "ca" });
    expect(codeOf(judge.verify(shown("leaf")))).toBe("certificate_changed");
  });
});

describe("CertificateVerifier", () => {
  test("with system wants the system's CAs and tells the fingerprint", () => {
    const judge = verifier({ kind: "system" });
    expect(judge.verify(shown("leaf", true))).toBe(true);
    const verdict = judge.verify(shown("self"));
    expect(codeOf(verdict)).toBe("certificate");
    expect((verdict as Error).message).toContain(`--verify sha256:${shown("self").sha256}`);
  });

  test("with sha256 wants exactly that certificate, whoever vouches for another", () => {
    const judge = verifier({ kind: "sha256", fingerprint: shown("self").sha256 });
    expect(judge.verify(shown("self"))).toBe(true);
    expect(codeOf(judge.verify(shown("leaf", true)))).toBe("certificate_changed");
  });

  test("with off accepts all and says that it is insecure", () => {
    const judge = verifier({ kind: "off" });
    expect(judge.verify(shown("self"))).toBe(true);
    expect([judge.isInsecure, verifier({ kind: "auto" }).isInsecure]).toEqual([true, false]);
  });
});

describe("CertificateVerifier with a file", () => {
  const mode = (name: string) =>
    loadVerifyMode({ kind: "file", path: join(folder, `${name}.pem`) });

  test("accepts the very certificate, whatever its names and dates", () => {
    const judge = verifier(mode("self"), { wall: Date.now() + 1e12 });
    expect(judge.verify(shown("self"))).toBe(true);
    expect(codeOf(judge.verify(shown("self2")))).toBe("certificate");
  });

  test("accepts what its CA issued for this host, by name or address", () => {
    expect(verifier(mode("ca")).verify(shown("leaf"))).toBe(true);
    expect(verifier(mode("ca"), { host: "192.0.2.1" }).verify(shown("leaf"))).toBe(true);
  });

  test("refuses what its CA issued for another host", () => {
    const verdict = verifier(mode("ca")).verify(shown("other"));
    expect(codeOf(verdict)).toBe("certificate");
    expect((verdict as Error).message).toContain("does not name vpn.example");
    expect(codeOf(verifier(mode("ca"), { host: "192.0.2.2" }).verify(shown("leaf")))).toBe(
      "certificate",
    );
  });

  test("refuses what its CA issued for another time", () => {
    for (const wall of [Date.now() - DAY_MS, Date.now() + 11 * DAY_MS]) {
      expect(codeOf(verifier(mode("ca"), { wall }).verify(shown("leaf")))).toBe("certificate");
    }
  });

  test("does not take a leaf for a CA", () => {
    expect(codeOf(verifier(mode("leaf")).verify(shown("other")))).toBe("certificate");
  });

  test("refuses bytes that are no certificate", () => {
    const broken = { ...shown("leaf"), der: new Uint8Array(40) };
    expect(codeOf(verifier(mode("ca")).verify(broken))).toBe("certificate");
  });
});

describe("loadVerifyMode()", () => {
  test("reads every certificate of a PEM file, and a DER file", () => {
    const both = join(folder, "both.pem");
    writeFileSync(
      both,
      readFileSync(join(folder, "ca.pem"), "utf8") + readFileSync(join(folder, "self.pem"), "utf8"),
    );
    const der = join(folder, "self.der");
    writeFileSync(der, shown("self").der);
    const counts = [both, der].map((path) => {
      const mode = loadVerifyMode({ kind: "file", path });
      return mode.kind === "file" ? mode.certificates.length : 0;
    });
    expect(counts).toEqual([2, 1]);
  });

  test("ends with 66 for a file that is not there and 65 for one that is none", () => {
    const empty = join(folder, "empty.pem");
    writeFileSync(empty, "hello");
    const codes = [join(folder, "nowhere.pem"), empty].map((path) => {
      try {
        loadVerifyMode({ kind: "file", path });
        return 0;
      } catch (error) {
        return (error as ExitError).exitCode;
      }
    });
    expect(codes).toEqual([66, 65]);
  });

  test("turns a fingerprint into lower-case hex", () => {
    const fingerprint = new Uint8Array(32).fill(0xab);
    expect(loadVerifyMode({ kind: "sha256", fingerprint })).toEqual({
      kind: "sha256",
      fingerprint: "ab".repeat(32),
    });
  });
});
