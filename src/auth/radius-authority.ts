import { MAX_OUTSIDE_WAITING } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { RadiusSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import { RADIUS_ATTRIBUTE, readText, textAttribute } from "../wire/radius-attribute.ts";
import {
  MAX_RADIUS_VALUE_BYTES,
  RADIUS_AUTHENTICATOR_BYTES,
  RADIUS_CODE,
  type RadiusAttribute,
  type RadiusPacket,
} from "../wire/radius.ts";
import { encodeText } from "../wire/text.ts";
import type { Authority, OutsideRequest, OutsideVerdict } from "./authority.ts";
import { RadiusClient, type RadiusDeps } from "./radius-client.ts";
import type { RadiusStats } from "./radius-exchange.ts";
import { readGrants } from "./radius-grants.ts";
import {
  hidePassword,
  MAX_RADIUS_PASSWORD_BYTES,
  requireMd5,
  sealAccessRequest,
} from "./radius-seal.ts";
import { SESSION_PORT } from "./radius-session-port.ts";

/** Replies that a person may read are cut to this in the log. */
const MAX_REPLY_CHARS = 200;

/** Asks RADIUS servers by PAP (hub.md 9.3). A login waits for its own answer alone; at most 64 wait. */
export class RadiusAuthority implements Authority {
  readonly #settings: RadiusSettings;
  readonly #random: Random;
  readonly #log: Log;
  readonly #client: RadiusClient;
  /** Refused because too many waited. */
  #shed = 0;

  /** Throws a VpnError where the crypto library has no MD5. */
  constructor(settings: RadiusSettings, deps: RadiusDeps) {
    requireMd5();
    this.#settings = settings;
    this.#random = deps.random;
    this.#log = deps.log;
    const { ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE } = RADIUS_CODE;
    this.#client = new RadiusClient(
      {
        ...settings,
        answers: [ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE],
        requiresMessageAuthenticator: settings.requireMessageAuthenticator,
      },
      deps,
    );
  }

  get stats(): RadiusStats & { shed: number } {
    return { ...this.#client.stats, shed: this.#shed };
  }

  async ask(request: OutsideRequest, signal: AbortSignal): Promise<OutsideVerdict> {
    const userName = radiusUserName(this.#settings.realm, request);
    const unfit = findUnfit(userName, request.password);
    if (unfit !== undefined) return this.#reject(request, unfit);
    const { suffixFilter } = this.#settings;
    if (!userName.toLowerCase().endsWith(suffixFilter.toLowerCase())) {
      return this.#reject(request, `the name does not end with ${suffixFilter}`);
    }
    if (this.#client.waiting >= MAX_OUTSIDE_WAITING) {
      this.#shed++;
      return { kind: "unavailable", reason: "too many logins wait for RADIUS servers" };
    }
    const answer = await this.#client.ask(
      (identifier) => this.#seal(identifier, userName, request),
      signal,
    );
    if (answer === undefined) {
      return { kind: "unavailable", reason: "no RADIUS server answered in time" };
    }
    return this.#judge(request, answer);
  }

  /** Logins that wait are answered as unavailable. */
  close(): void {
    this.#client.close();
  }

  #seal(identifier: number, userName: string, request: OutsideRequest) {
    const { secret, nasId } = this.#settings;
    const authenticator = this.#random.bytes(RADIUS_AUTHENTICATOR_BYTES);
    const password = hidePassword(request.password, secret, authenticator);
    const A = RADIUS_ATTRIBUTE;
    const attributes: (RadiusAttribute | undefined)[] = [
      textAttribute(A.USER_NAME, userName),
      { type: A.USER_PASSWORD, value: password },
      textAttribute(A.NAS_IDENTIFIER, nasId),
      ...SESSION_PORT,
      textAttribute(A.CALLED_STATION_ID, request.hub),
      textAttribute(A.CALLING_STATION_ID, request.address),
      textAttribute(A.TUNNEL_CLIENT_ENDPOINT, request.address),
      textAttribute(A.PROXY_STATE, request.sessionInfo),
    ];
    return sealAccessRequest(
      {
        code: RADIUS_CODE.ACCESS_REQUEST,
        identifier,
        authenticator,
        attributes: attributes.filter((attribute) => attribute !== undefined),
      },
      secret,
    );
  }

  #judge(request: OutsideRequest, answer: RadiusPacket): OutsideVerdict {
    switch (answer.code) {
      case RADIUS_CODE.ACCESS_ACCEPT:
        return { kind: "accepted", ...readGrants(answer, this.#settings.groupFrom) };
      case RADIUS_CODE.ACCESS_CHALLENGE:
        return this.#reject(
          request,
          "the server asks for a second answer, which VPN clients cannot give: let it take the code behind the password",
          answer,
        );
      default:
        return this.#reject(request, "the server refused it", answer);
    }
  }

  #reject(request: OutsideRequest, why: string, answer?: RadiusPacket): OutsideVerdict {
    const reply = answer && readText(answer, RADIUS_ATTRIBUTE.REPLY_MESSAGE);
    this.#log.info("radius_rejected", `RADIUS login of ${request.user} refused: ${why}`, {
      user: request.user,
      hub: request.hub,
      address: request.address,
      reply: reply?.slice(0, MAX_REPLY_CHARS),
    });
    return { kind: "rejected" };
  }
}

/** The User-Name of a login: an alias is taken as it is, the realm belongs to names as they were typed. */
export function radiusUserName(
  realm: string,
  { user, typedUser }: { readonly user: string; readonly typedUser: string },
): string {
  const isWhole = realm === "" || user !== typedUser;
  return isWhole || user.toLowerCase().endsWith(`@${realm.toLowerCase()}`)
    ? user
    : `${user}@${realm}`;
}

/** Why this name and password cannot be put into a request, or undefined. */
function findUnfit(userName: string, password: Uint8Array): string | undefined {
  const nameBytes = encodeText(userName).length;
  if (nameBytes === 0 || nameBytes > MAX_RADIUS_VALUE_BYTES) {
    return `a name of ${nameBytes} bytes does not fit`;
  }
  if (password.length > MAX_RADIUS_PASSWORD_BYTES) {
    return `the password has ${password.length} bytes, RADIUS carries ${MAX_RADIUS_PASSWORD_BYTES}`;
  }
  // Padding is NUL as well: with one at the end another password would be the same.
  return password.includes(0) ? "the password has a NUL in it" : undefined;
}
