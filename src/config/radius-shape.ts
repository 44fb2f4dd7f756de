import {
  ACCOUNTING_INTERVAL_MS,
  MAX_NAME_CHARS,
  MAX_OUTSIDE_SERVERS,
  OUTSIDE_RETRY_MS,
  OUTSIDE_TIMEOUT_MS,
} from "../base/limits.ts";
import { tryParseServerAddress } from "./remote.ts";
import { bool, choice, duration, text, textOf } from "./scalar-shapes.ts";
import { sharedSecret } from "./secret.ts";
import { GROUP_ATTRIBUTES, type HostPort, type RadiusSettings } from "./server-config.ts";
import { list, optional, type Place, refine, setting, type Shape, table } from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";

/* Specification constants: RFC 2865 3, RFC 2866 3. */
const AUTHENTICATION_PORT = 1812;
const ACCOUNTING_PORT = 1813;

const PRODUCT = "Patchbay VPN Server";
/** One attribute holds no more (RFC 2865 5). */
const MAX_ATTRIBUTE_CHARS = 253;

function servers(port: number): Shape<readonly HostPort[]> {
  return refine(
    list(textOf('"HOST" or "HOST:PORT"', (written) => tryParseServerAddress(written, port))),
    (all, node, place) =>
      all.length <= MAX_OUTSIDE_SERVERS
        ? all
        : place.fail(node, `${all.length} servers, at most ${MAX_OUTSIDE_SERVERS} are allowed`),
  );
}

/** `hub.NAME.radius` (config-proposal.md 7.3). Without any server there is nothing to ask. */
export const radius: Shape<{ readonly settings: RadiusSettings | undefined }> = refine(
  table({
    servers: setting(servers(AUTHENTICATION_PORT), []),
    secret: optional(sharedSecret),
    retry: setting(duration("500ms", "30s"), OUTSIDE_RETRY_MS),
    timeout: setting(duration("1s", "60s"), OUTSIDE_TIMEOUT_MS),
    nas_id: setting(text(MAX_ATTRIBUTE_CHARS), PRODUCT),
    realm: setting(text(MAX_NAME_CHARS), ""),
    suffix_filter: setting(text(MAX_NAME_CHARS), ""),
    group_from: setting(choice(...GROUP_ATTRIBUTES), "Filter-Id"),
    accounting: setting(servers(ACCOUNTING_PORT), []),
    accounting_interval: setting(duration("1m", "1d"), ACCOUNTING_INTERVAL_MS),
    require_message_authenticator: setting(bool, true),
  }),
  (value, node, place) => {
    if (value.servers.length === 0 && value.accounting.length === 0) return { settings: undefined };
    const { secret } = value;
    if (secret === undefined) return refuseWithoutSecret(node, place);
    return {
      settings: {
        servers: value.servers,
        secret,
        retryMs: value.retry,
        timeoutMs: value.timeout,
        nasId: value.nas_id,
        realm: value.realm,
        suffixFilter: value.suffix_filter,
        groupFrom: value.group_from,
        accounting: value.accounting,
        accountingIntervalMs: value.accounting_interval,
        requireMessageAuthenticator: value.require_message_authenticator,
      },
    };
  },
);

function refuseWithoutSecret(node: TomlNode, place: Place): undefined {
  return place.fail(node, 'the key "secret" is missing: RADIUS servers answer nobody without one');
}
