import {
  framedAddressAttribute,
  numberAttribute,
  RADIUS_ATTRIBUTE,
  textAttribute,
} from "../wire/radius-attribute.ts";
import type { RadiusAttribute } from "../wire/radius.ts";
import { SESSION_PORT } from "./radius-session-port.ts";

// What an accounting record says (RFC 2866 5), but for its delay, which is known when it is sent.

/** Values of Acct-Status-Type. */
export const ACCT_STATUS = { START: 1, STOP: 2, INTERIM: 3, ON: 7, OFF: 8 } as const;
/** Values of Acct-Authentic. */
const AUTHENTIC = { RADIUS: 1, LOCAL: 2 } as const;
const GIGAWORD = 2 ** 32;

/** What accounting tells about a session. */
export interface AccountedSession {
  /** Of the session, as in lists and logs. */
  readonly name: string;
  readonly hub: string;
  /** As the RADIUS server knows him (`radiusUserName`). */
  readonly userName: string;
  readonly address: string;
  readonly isRadiusUser: boolean;
  /** From the verdict. */
  readonly class?: readonly Uint8Array[];
  readonly interimIntervalS?: number;
  /** Asked for each record: `in` is what came from the user. */
  traffic(): SessionTraffic;
}

export interface SessionTraffic {
  readonly inBytes: number;
  readonly outBytes: number;
  readonly inFrames?: number;
  readonly outFrames?: number;
  /** Of the user inside the hub, where it is known by now. */
  readonly framedAddress?: string;
}

/** What every record begins with. */
export interface RecordHead {
  /** One of ACCT_STATUS. */
  readonly status: number;
  /** Acct-Session-Id. */
  readonly id: string;
  readonly nasId: string;
  /** Wall-clock milliseconds. */
  readonly wall: number;
}

/** Of a hub that begins or ends with its server. */
export function describeHub(hub: string, head: RecordHead): RadiusAttribute[] {
  return present([...headOf(head), textAttribute(RADIUS_ATTRIBUTE.CALLED_STATION_ID, hub)]);
}

export function describeSession(session: AccountedSession, head: RecordHead): RadiusAttribute[] {
  const A = RADIUS_ATTRIBUTE;
  const { framedAddress } = session.traffic();
  return present([
    ...headOf(head),
    textAttribute(A.USER_NAME, session.userName),
    ...SESSION_PORT,
    textAttribute(A.CALLED_STATION_ID, session.hub),
    textAttribute(A.CALLING_STATION_ID, session.address),
    textAttribute(A.TUNNEL_CLIENT_ENDPOINT, session.address),
    framedAddress === undefined ? undefined : framedAddressAttribute(framedAddress),
    numberAttribute(A.ACCT_AUTHENTIC, session.isRadiusUser ? AUTHENTIC.RADIUS : AUTHENTIC.LOCAL),
    ...(session.class ?? []).map((value) => ({ type: A.CLASS, value })),
  ]);
}

function headOf({ status, id, nasId, wall }: RecordHead): (RadiusAttribute | undefined)[] {
  const A = RADIUS_ATTRIBUTE;
  return [
    numberAttribute(A.ACCT_STATUS_TYPE, status),
    textAttribute(A.ACCT_SESSION_ID, id),
    textAttribute(A.NAS_IDENTIFIER, nasId),
    numberAttribute(A.EVENT_TIMESTAMP, Math.floor(wall / 1000)),
  ];
}

/** How long and how much by now; counters of 32 bits with the number of times they ran over (RFC 2869 5.1). */
export function describeProgress(traffic: SessionTraffic, elapsedMs: number): RadiusAttribute[] {
  const A = RADIUS_ATTRIBUTE;
  const { inBytes, outBytes, inFrames, outFrames } = traffic;
  const counter = (type: number, count: number | undefined) =>
    count === undefined ? undefined : numberAttribute(type, count % GIGAWORD);
  return present([
    numberAttribute(A.ACCT_SESSION_TIME, Math.round(elapsedMs / 1000)),
    counter(A.ACCT_INPUT_OCTETS, inBytes),
    counter(A.ACCT_OUTPUT_OCTETS, outBytes),
    counter(A.ACCT_INPUT_GIGAWORDS, Math.floor(inBytes / GIGAWORD)),
    counter(A.ACCT_OUTPUT_GIGAWORDS, Math.floor(outBytes / GIGAWORD)),
    counter(A.ACCT_INPUT_PACKETS, inFrames),
    counter(A.ACCT_OUTPUT_PACKETS, outFrames),
  ]);
}

function present(attributes: readonly (RadiusAttribute | undefined)[]): RadiusAttribute[] {
  return attributes.filter((attribute) => attribute !== undefined);
}
