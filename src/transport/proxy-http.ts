import { VpnError } from "../base/errors.ts";
import { HttpReader, NO_BODY } from "./http-message.ts";
import type { ProxyTalk } from "./proxy.ts";
import { formatEndpoint } from "./tcp-socket.ts";

const MAX_REASON_CHARS = 80;
/** Heads of status 1xx that may come before the answer (RFC 9110 15.2). */
const MAX_INTERIM = 4;

/** HTTP CONNECT (RFC 9110 9.3.6) with Basic credentials (RFC 7617). */
export async function talkHttpConnect(talk: ProxyTalk): Promise<void> {
  const { proxy, target } = talk;
  const endpoint = formatEndpoint(target.host, target.port);
  const lines = [`CONNECT ${endpoint} HTTP/1.1`, `Host: ${endpoint}`];
  if (proxy.user !== undefined) lines.push(`Proxy-Authorization: Basic ${basic(talk)}`);
  talk.send(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));

  const { status, reason, challenge } = await readStatus(talk);
  if (status >= 200 && status < 300) return;
  // Some answer 401 to a login that is wrong, though that is a server's to say.
  if (status === 407 || status === 401)
    throw new VpnError("proxy_auth_failed", authText(talk, challenge));
  const answer = `${status} ${reason}`.trim();
  // 502 to 504 are about the server, all else about what the proxy allows (RFC 9110 15.6).
  throw new VpnError(
    "proxy_error",
    status >= 502 && status <= 504
      ? `it does not reach ${endpoint} (${answer})`
      : `it refuses to connect to ${endpoint} (${answer})`,
  );
}

async function readStatus(
  talk: ProxyTalk,
): Promise<{ status: number; reason: string; challenge: string | undefined }> {
  // The body of a refusal is for browsers, and a success has none whatever its fields say.
  const reader = new HttpReader(() => NO_BODY);
  for (let interim = 0; interim <= MAX_INTERIM;) {
    const message = reader.next();
    if (message === undefined) {
      reader.push(await talk.read());
      continue;
    }
    const { first, second, third, fields } = message.head;
    if (!/^HTTP\/1\.[01]$/.test(first) || !/^[1-5][0-9]{2}$/.test(second)) {
      throw new VpnError("proxy_error", "it does not speak HTTP");
    }
    if (second.startsWith("1")) interim++;
    else {
      talk.unread(reader.takeRest());
      const reason = third.slice(0, MAX_REASON_CHARS);
      return { status: Number(second), reason, challenge: fields.get("proxy-authenticate") };
    }
  }
  throw new VpnError("proxy_error", "it does not come to an answer");
}

function authText({ proxy }: ProxyTalk, challenge: string | undefined): string {
  if (challenge !== undefined && !/(?:^|,\s*)basic\b/i.test(challenge)) {
    const scheme = /^[\w-]{1,20}/.exec(challenge)?.[0] ?? "none we know";
    return `it asks for a login by ${scheme}, and only Basic can be given`;
  }
  return proxy.user === undefined
    ? "it asks for a user name and a password"
    : `it refuses the user ${proxy.user} or the password`;
}

function basic({ proxy }: ProxyTalk): string {
  if (proxy.user!.includes(":")) {
    throw new VpnError("proxy_auth_failed", "a user name with a colon cannot be given (RFC 7617)");
  }
  const user = new TextEncoder().encode(`${proxy.user}:`);
  const password = proxy.password ?? new Uint8Array(0);
  const login = new Uint8Array(user.length + password.length);
  login.set(user);
  login.set(password, user.length);
  return Uint8Array.prototype.toBase64.call(login);
}
