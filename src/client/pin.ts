import { messageOf } from "../base/errors.ts";
import type { CertificateVerifier } from "../session/verify.ts";
import type { ClientEvent } from "./status.ts";

/** The server let us in: remembers its certificate where that is due, and tells of it. */
export function pinCertificate(
  verifier: CertificateVerifier,
  onEvent: (event: ClientEvent) => void,
): void {
  try {
    const sha256 = verifier.confirm();
    if (sha256 !== undefined) onEvent({ event: "certificate_pinned", sha256 });
  } catch (error) {
    // A full disk: the session is as safe as its certificate, the next one will ask again.
    const message = `Cannot remember the server's certificate: ${messageOf(error)}`;
    onEvent({ event: "warning", code: "pin_failed", message });
  }
}
