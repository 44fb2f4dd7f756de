import { encodeHttp, type HttpHead } from "../transport/http-message.ts";

// What the control port shows to whoever is no VPN client: a browser, a scanner, a health check.

/** An HTML page: its status without the version, and its one sentence. */
export interface Page {
  readonly status: string;
  readonly text: string;
}

/* Specification constant: a client up to 5.01 looks for it in the answer to `GET /` (protocol.md 2.4). */
const DETECTION_TAG = "9C37197CA7C2428388C2E6E59B829B30";

export const DETECTION_PAGE: Page = {
  status: "403 Forbidden",
  text: `This is a VPN server. ${DETECTION_TAG}`,
};
export const NO_CLIENT_PAGE: Page = { status: "403 Forbidden", text: "This is no VPN client." };
export const NOTHING_HERE_PAGE: Page = { status: "404 Not Found", text: "There is nothing here." };

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "OPTIONS"]);
/** Line ends and NUL that a careless reader of the field would decode (robustness.md HT-15). */
const ENCODED_LINE_END = /%0[0ad]/i;

/** What no conversation goes on after, to be told before any body is awaited (robustness.md HT-12, HT-14, HT-15). */
export function refuseHead({ first, third, fields }: HttpHead): Page | undefined {
  if (third !== "HTTP/1.1" && third !== "HTTP/1.0") {
    return { status: "505 HTTP Version Not Supported", text: "Only HTTP/1.1 is spoken here." };
  }
  if (!METHODS.has(first.toUpperCase())) {
    return { status: "501 Not Implemented", text: "There is no such method here." };
  }
  if (fields.has("expect") || fields.has("upgrade")) {
    return { status: "400 Bad Request", text: "Neither expectations nor upgrades are met here." };
  }
  const host = fields.get("host") ?? "";
  if ((third === "HTTP/1.1" && host === "") || ENCODED_LINE_END.test(host)) {
    return { status: "400 Bad Request", text: "Host is missing, or is none." };
  }
  return undefined;
}

/** The page as a reply; to HEAD its head alone (RFC 9110 9.3.2). */
export function pageReply({ status, text }: Page, to: HttpHead, wall: number): Uint8Array {
  const body = new TextEncoder().encode(
    `<!DOCTYPE html>\n<html><head><title>${status}</title></head>\n<body><h1>${status}</h1>\n<p>${text}</p>\n</body></html>\n`,
  );
  const reply = encodeHttp(
    `HTTP/1.1 ${status}`,
    {
      Date: new Date(wall).toUTCString(),
      "Keep-Alive": "timeout=15; max=19",
      Connection: "Keep-Alive",
      "Content-Type": "text/html; charset=utf-8",
    },
    body,
  );
  return to.first.toUpperCase() === "HEAD" ? reply.subarray(0, reply.length - body.length) : reply;
}
