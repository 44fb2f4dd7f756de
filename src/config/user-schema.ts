import { MAX_NAME_CHARS, TOTP_SECRET_BYTES } from "../base/limits.ts";
import { tryDecodeBase32 } from "../crypto/base32.ts";
import { ipv4 } from "./dhcp-shape.ts";
import { EVERYBODY } from "./name-rules.ts";
import { policy } from "./policy-shape.ts";
import { bool, moment, text } from "./scalar-shapes.ts";
import { sharedSecret, userSecret } from "./secret.ts";
import type { UserConfig, UserCredential } from "./server-config.ts";
import { oneOf, optional, type Place, refine, setting, type Shape, table } from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";
import { certificate, serial } from "./trust-shapes.ts";

export const MAX_NOTE_CHARS = 1024;

/** `true`, or the name that the user has there; `false` is as good as nothing. */
const outside: Shape<{ readonly alias: string | undefined } | false> = oneOf<
  { readonly alias: string | undefined } | false
>("true or the name that is used there", {
  boolean: refine(bool, (asked) => (asked ? { alias: undefined } : false)),
  string: refine(text(MAX_NAME_CHARS), (alias, node, place) =>
    alias === "" ? place.fail(node, "expected true or the name that is used there") : { alias },
  ),
});

const totp: Shape<Uint8Array> = refine(sharedSecret, (written, node, place) => {
  const { min, max } = TOTP_SECRET_BYTES;
  const secret = tryDecodeBase32(new TextDecoder().decode(written));
  if (secret !== undefined && secret.length >= min && secret.length <= max) return secret;
  return place.fail(node, `expected ${min} to ${max} bytes in base32, as "vpn user totp" prints`);
});

const keys = {
  password: optional(userSecret),
  anonymous: setting(bool, false),
  cert: optional(certificate),
  cert_signed: setting(bool, false),
  cert_cn: optional(text(MAX_NAME_CHARS)),
  cert_serial: optional(serial),
  radius: optional(outside),
  nt: optional(outside),
  totp: optional(totp),
  enable: setting(bool, true),
  expires: optional(moment),
  group: optional(text(MAX_NAME_CHARS)),
  full_name: setting(text(MAX_NAME_CHARS), ""),
  note: setting(text(MAX_NOTE_CHARS), ""),
  address: optional(ipv4),
  policy: optional(policy),
};

/** `hub.NAME.user.NAME` (config-proposal.md 7.3). */
export const user: Shape<Omit<UserConfig, "name">> = refine(table(keys), (value, node, place) => {
  const ways = waysOfLogin(value);
  const [way, another] = ways;
  if (way !== undefined && another !== undefined) {
    const text = `a user has one way of login, not "${way.key}" and "${another.key}"`;
    return place.fail(node, text, another.key);
  }
  const credential = way?.credential ?? { kind: "generated" };
  if (!isSecondFactorAllowed(value.totp, credential)) {
    return place.fail(node, "a code goes with a password, which this user does not have", "totp");
  }
  const { enable, expires, group, full_name: fullName, note } = value;
  return {
    enable,
    expires,
    group,
    fullName,
    note,
    address: value.address,
    policy: value.policy,
    credential,
    totp: value.totp,
  };
});

interface Ways {
  readonly password: Extract<UserCredential, { kind: "password" }>["secret"] | undefined;
  readonly anonymous: boolean;
  readonly cert: Uint8Array | undefined;
  readonly cert_signed: boolean;
  readonly cert_cn: string | undefined;
  readonly cert_serial: string | undefined;
  readonly radius: { readonly alias: string | undefined } | false | undefined;
  readonly nt: { readonly alias: string | undefined } | false | undefined;
}

/** Every way that a table names, with the key that names it. */
function waysOfLogin(value: Ways): { key: string; credential: UserCredential }[] {
  const ways: { key: string; credential: UserCredential }[] = [];
  const { password, cert, cert_cn: commonName, cert_serial: serialNumber } = value;
  if (password !== undefined) {
    ways.push({ key: "password", credential: { kind: "password", secret: password } });
  }
  if (value.anonymous) ways.push({ key: "anonymous", credential: { kind: "anonymous" } });
  if (cert !== undefined) {
    ways.push({ key: "cert", credential: { kind: "certificate", der: cert } });
  }
  const key = value.cert_signed
    ? "cert_signed"
    : commonName !== undefined
      ? "cert_cn"
      : serialNumber === undefined
        ? undefined
        : "cert_serial";
  if (key !== undefined) {
    ways.push({
      key,
      credential: { kind: "signed-certificate", commonName, serial: serialNumber },
    });
  }
  for (const authority of ["radius", "nt"] as const) {
    const asked = value[authority];
    if (asked === undefined || asked === false) continue;
    ways.push({
      key: authority,
      credential: { kind: "outside", authority, alias: asked.alias },
    });
  }
  return ways;
}

function isSecondFactorAllowed(secret: Uint8Array | undefined, { kind }: UserCredential): boolean {
  return secret === undefined || kind === "password" || kind === "generated" || kind === "outside";
}

/** False, after it has told so, for a user `*` that is not asked for outside under the typed name (hub.md 9.4). */
export function checkEverybody(
  { name, value }: { readonly name: string; readonly value: Omit<UserConfig, "name"> },
  node: TomlNode,
  place: Place,
): boolean {
  if (name !== EVERYBODY) return true;
  const { credential, totp: secret, address } = value;
  const fault =
    credential.kind !== "outside"
      ? 'the user "*" takes "radius = true" or "nt = true" only'
      : credential.alias !== undefined
        ? `the user "*" is asked for under the name that was typed: write "${credential.authority} = true"`
        : secret !== undefined
          ? 'the user "*" stands for many, who cannot share one secret of codes'
          : address !== undefined
            ? 'the user "*" stands for many, who cannot share one address'
            : undefined;
  if (fault !== undefined) place.fail(node, fault, "user", name);
  return fault === undefined;
}
