import type { AccountCredential } from "../config/client-config.ts";
import { readClientCertificate } from "../config/pem-source.ts";
import type { Credential } from "./proof.ts";

/**
 * What proves who we are, without asking anybody; undefined where a person must be asked for the password.
 * @throws ExitError 65 for a certificate that cannot be used, 66 for files that are not there
 */
export function knownCredential(credential: AccountCredential): Credential | undefined {
  switch (credential.kind) {
    case "anonymous":
      return { kind: "anonymous" };
    case "certificate": {
      const { certificate, key } = readClientCertificate(credential.cert, credential.key);
      const pem = key.export({ format: "pem", type: "pkcs8" }) as string;
      return { kind: "certificate", certificate: new Uint8Array(certificate.raw), key: pem };
    }
    case "password": {
      const { secret, plain } = credential;
      if (secret === undefined) return undefined;
      if (secret.kind === "sha0") return { kind: "password-hash", hash: secret.hash };
      return { kind: plain ? "plain-password" : "password", password: secret.bytes };
    }
  }
}
